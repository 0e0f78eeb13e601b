"""An admin-api for tests: its secrets, its application on a database, and somebody who plays recovery."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import httpx
from starlette.types import ASGIApp

from backstop_admin_api.entrypoints.app import create_app
from backstop_admin_api.main import compose_context
from backstop_admin_api.settings import AdminApiSettings
from backstop_common.database import Transactions
from backstop_common.ids import run_id
from backstop_common.settings import load_settings

CRON_SECRET = "cron-secret-of-the-tests-0123456789abcdef"
ADMIN_TOKEN = "admin-token-of-the-tests-0123456789abcdef"
SESSION_SECRET = "session-secret-of-the-tests-0123456789abcdef"
BASE = "http://backstop.test"
AS_ADMIN = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
AS_CRON = {"Authorization": f"Bearer {CRON_SECRET}"}


def admin_settings(**overrides: object) -> AdminApiSettings:
    """Settings with the secrets above; overrides by environment name."""
    return load_settings(
        AdminApiSettings,
        **{
            "CRON_SECRET": CRON_SECRET,
            "ADMIN_TOKEN": ADMIN_TOKEN,
            "SESSION_SECRET": SESSION_SECRET,
            "APP_BASE_URL": BASE,
            **overrides,
        },
    )


def admin_app(transactions: Transactions, **overrides: object) -> ASGIApp:
    """The application on this database."""
    return create_app(compose_context(admin_settings(**overrides), transactions), loops=[], checks={})


def client_of(app: ASGIApp, *, base_url: str = BASE) -> httpx.AsyncClient:
    """A client without a network; an error in the application is a 500, as in production."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url=base_url)


@dataclass(frozen=True, slots=True)
class PlayedRecovery:
    """Does to ticks what recovery would do, when the test says so."""

    transactions: Transactions

    async def start_pending(self) -> list[UUID]:
        """Start a run for every tick that has none."""
        async with self.transactions.begin() as tx:
            ticks = await tx.rows(
                "SELECT * FROM ticks t WHERE NOT EXISTS (SELECT 1 FROM cron_job_executions WHERE tick_id = t.id)"
            )
            for tick in ticks:
                await tx.execute(
                    "INSERT INTO cron_job_executions (id, job_name, tick_id, trigger, actor, dry_run, scheduled_for,"
                    " started_at, status, horizon_at, heartbeat_at, deadline_at) VALUES (:id, :job, :tick, :trigger,"
                    " :actor, :dry_run, :scheduled_for, clock_timestamp(), 'running', clock_timestamp(),"
                    " clock_timestamp(), clock_timestamp() + interval '1 hour')",
                    id=run_id(tick["id"]),
                    job=tick["job_name"],
                    tick=tick["id"],
                    trigger=tick["trigger"],
                    actor=tick["actor"],
                    dry_run=tick["dry_run"],
                    scheduled_for=tick["scheduled_for"],
                )
        return [run_id(tick["id"]) for tick in ticks]

    async def finish(
        self,
        run: UUID,
        *,
        status: str = "completed",
        error: str | None = None,
        results: Mapping[str, int] | None = None,
    ) -> None:
        """End a run with these counts."""
        async with self.transactions.begin() as tx:
            await tx.execute(
                "UPDATE cron_job_executions SET status = :status, error_message = :error, duration = 1234,"
                " completed_at = clock_timestamp(), results = CAST(:results AS jsonb) WHERE id = :id",
                id=run,
                status=status,
                error=error,
                results=json.dumps(results or {}),
            )

    async def work_off(self, **ending: object) -> list[UUID]:
        """Start and end everything that waits."""
        runs = await self.start_pending()
        for run in runs:
            await self.finish(run, **ending)  # type: ignore[arg-type]
        return runs
