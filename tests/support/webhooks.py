"""Somebody who sends webhooks to an admin-api, and what the database says afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
from prometheus_client import REGISTRY

from backstop_admin_api.entrypoints.app import create_app
from backstop_admin_api.main import compose_context
from backstop_common.database import Transactions
from tests.support.admin_api import admin_settings, client_of
from tests.support.factories import Factory
from tests.support.signing import STANDARD_SECRET, standard_headers

WEBHOOK_SECRET = "webhook-secret-of-the-tests-0123456789abcdef"
KIE_KEY = "kie-webhook-key-of-the-tests"
ENVIRON = {"REPLICATE_WEBHOOK_SECRET": STANDARD_SECRET, "KIE_WEBHOOK_KEY": KIE_KEY}


def webhook_client(
    transactions: Transactions, environ: Mapping[str, str] = ENVIRON, **overrides: object
) -> httpx.AsyncClient:
    """A client of an admin-api with these provider secrets; overrides are settings by environment name."""
    settings = admin_settings(**{"BACKSTOP_WEBHOOK_SECRET": WEBHOOK_SECRET, **overrides})
    return client_of(create_app(compose_context(settings, transactions, environ), loops=[], checks={}))


def counted(provider: str, result: str) -> float:
    """The metric; it counts from the start of the process."""
    labels = {"provider": provider, "result": result}
    return REGISTRY.get_sample_value("backstop_webhooks_total", labels) or 0.0


@dataclass(slots=True)
class Told:
    """What a task's webhooks have left in the database."""

    webhook_at: object
    timeline: list[dict[str, Any]]
    checks: list[dict[str, Any]]
    delays: list[float]

    @property
    def is_nothing(self) -> bool:
        return self.webhook_at is None and not self.timeline and not self.checks


@dataclass(slots=True)
class Sender:
    """Plays Replicate, whose task `p-1` is registered; every webhook has an id of its own unless one is given."""

    client: httpx.AsyncClient
    transactions: Transactions
    task_id: UUID = field(default_factory=uuid4)

    async def replicate(
        self,
        body: bytes | dict[str, Any] | None = None,
        *,
        identity: str | None = None,
        changed: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """A signed webhook, with some of its headers changed afterwards."""
        content = body if isinstance(body, bytes) else json.dumps(body or self.prediction()).encode()
        signed = standard_headers(content, identity=identity or uuid4().hex)
        return await self.client.post("/webhooks/replicate", content=content, headers={**signed, **(changed or {})})

    def prediction(self, status: str = "succeeded") -> dict[str, Any]:
        return {"id": f"p-{self.task_id.hex}", "status": status, "output": "https://files.example/a.mp4"}

    async def told(self, task_id: UUID | None = None) -> Told:
        async with self.transactions.read() as reading:
            task = await reading.row("SELECT webhook_at FROM tasks WHERE id = :id", id=task_id or self.task_id)
            events = await reading.rows(
                "SELECT detail FROM task_events WHERE kind = 'webhook' AND task_id = :id", id=task_id or self.task_id
            )
            checks = await reading.rows(
                "SELECT body, extract(epoch FROM not_before - created_at)::float AS delay FROM outbox"
                " WHERE type = 'task.check' ORDER BY id"
            )
        bodies = [json.loads(row["body"]) for row in checks]
        return Told(
            None if task is None else task["webhook_at"],
            [row["detail"] for row in events],
            [body for body in bodies if body["task_id"] == str(task_id or self.task_id)],
            [row["delay"] for row in checks],
        )

    async def make_task(self, factory: Factory, **more: Any) -> UUID:
        return await factory.task(task_id=self.task_id, **more)
