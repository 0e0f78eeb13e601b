"""API keys: what they open, what they do not, and what of them is kept."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx
import pytest

from backstop_admin_api.application.create_key import CreateKey, UnknownScopeError
from backstop_common.database import Transactions
from tests.support.admin_api import ADMIN_TOKEN, AS_ADMIN, AS_CRON
from tests.support.intake import App, app_with_key, count, task_body

ROUTES = [
    ("PUT", "/api/users/ada", {"name": "Ada"}),
    ("POST", "/api/users/ada/credits", {"amount": 1, "referenceId": "r"}),
    ("POST", "/api/tasks", task_body()),
    ("GET", "/api/tasks/00000000-0000-0000-0000-000000000001", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer bsk_wrong"},
        {"Authorization": f"Basic {ADMIN_TOKEN}"},
        {"Authorization": "Bearer ü".encode("latin-1")},
        AS_CRON,
    ],
)
async def test_without_a_good_key_nothing_opens(
    client: httpx.AsyncClient, transactions: Transactions, method: str, path: str, body: Any, headers: dict[str, str]
) -> None:
    answer = await client.request(method, path, json=body, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert await count(transactions, "users") == 0


async def test_a_session_of_the_dashboard_is_no_key(client: httpx.AsyncClient) -> None:
    await client.post("/admin/login", data={"token": ADMIN_TOKEN})
    assert (await client.put("/api/users/ada", json={})).status_code == 401


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_a_key_without_the_scope_is_told_which(
    client: httpx.AsyncClient, transactions: Transactions, method: str, path: str, body: Any
) -> None:
    needed, other = ("tasks:read", "tasks:write") if method == "GET" else ("tasks:write", "tasks:read")
    app = await app_with_key(client, transactions, other)
    answer = await client.request(method, path, json=body, headers=app.headers)
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert needed in answer.json()["detail"]


async def test_a_key_does_not_open_the_admin_api(app: App) -> None:
    assert (await app.client.get("/api/admin/jobs", headers=app.headers)).status_code == 401


async def test_the_admin_token_registers_too(client: httpx.AsyncClient) -> None:
    assert (await client.put("/api/users/ada", json={}, headers=AS_ADMIN)).status_code == 200


async def test_only_the_hash_of_a_key_is_kept(transactions: Transactions) -> None:
    new = await CreateKey(transactions)("my app", [], actor="tests")
    async with transactions.read() as reading:
        row = await reading.row("SELECT * FROM api_keys")
        audited = await reading.row("SELECT actor, action, detail::text AS detail FROM audit_log")
    assert row is not None
    assert audited is not None
    assert new.key.startswith(f"{row['prefix']}")
    assert row["key_sha256"] == hashlib.sha256(new.key.encode()).digest()
    assert new.key not in str(dict(row)) + str(dict(audited))
    assert (audited["actor"], audited["action"]) == ("tests", "key.create")


async def test_a_scope_nobody_knows_is_refused(transactions: Transactions) -> None:
    with pytest.raises(UnknownScopeError, match="tasks:write or tasks:read"):
        await CreateKey(transactions)("my app", ["tasks:all"], actor="tests")
    assert await count(transactions, "api_keys") == 0


async def test_a_revoked_key_opens_nothing(app: App, transactions: Transactions) -> None:
    async with transactions.begin() as tx:
        await tx.execute("UPDATE api_keys SET revoked_at = clock_timestamp()")
    assert (await app.put_user("ada")).status_code == 401


async def test_the_last_use_is_noted_at_most_once_a_minute(app: App, transactions: Transactions) -> None:
    async def last_use() -> Any:
        async with transactions.read() as reading:
            return await reading.value("SELECT last_used_at FROM api_keys")

    assert await last_use() is None
    await app.put_user("ada")
    first = await last_use()
    await app.put_user("ada")
    assert await last_use() == first is not None
    async with transactions.begin() as tx:
        await tx.execute("UPDATE api_keys SET last_used_at = last_used_at - interval '61 seconds'")
    await app.put_user("ada")
    assert await last_use() > first


async def test_the_openapi_document_lists_the_routes(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    paths = document["paths"]
    assert {"put"} == set(paths["/api/users/{id}"])
    assert {"post"} == set(paths["/api/users/{id}/credits"])
    assert {"200", "201", "401", "402", "403", "409", "422"} <= set(paths["/api/tasks"]["post"]["responses"])
    assert paths["/api/tasks/{id}"]["get"]["security"] == [{"apiKey": []}]
    assert set(document["components"]["schemas"]["TaskRecord"]["properties"]) == {
        "id", "userId", "kind", "provider", "providerTaskId", "credits", "billing", "submittedAt", "metadata", "user",
    }  # fmt: skip
