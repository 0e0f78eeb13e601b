"""An app that registers tasks: its API key, the bodies it sends, and what the database says afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from backstop_admin_api.application.create_key import CreateKey
from backstop_common.database import Transactions


def task_body(**changes: Any) -> dict[str, Any]:
    """A body of POST /api/tasks; a value of `...` leaves the field out."""
    body = {
        "id": str(uuid4()),
        "userId": "ada",
        "kind": "video",
        "provider": "replicate",
        "providerTaskId": f"p-{uuid4().hex}",
        "credits": 10,
        "billing": "hold",
        **changes,
    }
    return {name: value for name, value in body.items() if value is not ...}


@dataclass(frozen=True, slots=True)
class App:
    """Somebody with an API key."""

    client: httpx.AsyncClient
    headers: dict[str, str]

    async def put_user(self, user_id: str = "ada", **body: Any) -> httpx.Response:
        return await self.client.put(f"/api/users/{user_id}", json=body, headers=self.headers)

    async def grant(self, amount: Any, reference: str | None = None, user_id: str = "ada") -> httpx.Response:
        body = {"amount": amount, "reason": "purchase", "referenceId": reference or uuid4().hex}
        return await self.client.post(f"/api/users/{user_id}/credits", json=body, headers=self.headers)

    async def register(self, **changes: Any) -> httpx.Response:
        return await self.send(task_body(**changes))

    async def send(self, body: dict[str, Any]) -> httpx.Response:
        return await self.client.post("/api/tasks", json=body, headers=self.headers)

    async def read(self, task_id: object) -> httpx.Response:
        return await self.client.get(f"/api/tasks/{task_id}", headers=self.headers)

    async def with_credits(self, amount: int, user_id: str = "ada") -> None:
        """A user with so many credits."""
        assert (await self.put_user(user_id, email=f"{user_id}@example.com")).status_code == 200
        assert (await self.grant(amount, user_id=user_id)).status_code == 200


async def app_with_key(client: httpx.AsyncClient, transactions: Transactions, *scopes: str) -> App:
    """An app whose new key has these scopes; all when none is named."""
    key = (await CreateKey(transactions)("an app", scopes, actor="tests")).key
    return App(client, {"Authorization": f"Bearer {key}"})


async def balances(transactions: Transactions, user_id: str = "ada") -> tuple[int, int]:
    """Balance and frozen balance."""
    async with transactions.read() as reading:
        row = await reading.row("SELECT balance, frozen_balance FROM credit_accounts WHERE user_id = :id", id=user_id)
    assert row is not None
    return row["balance"], row["frozen_balance"]


async def count(transactions: Transactions, table: str) -> int:
    """The rows of a table."""
    async with transactions.read() as reading:
        return int(await reading.value(f"SELECT count(*) FROM {table}"))  # noqa: S608 - a table's name
