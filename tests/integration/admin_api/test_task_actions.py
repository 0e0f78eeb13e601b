"""What an admin may do about one task over HTTP: asked for here, audited, carried out by recovery."""

from __future__ import annotations

import json
from uuid import uuid4

import httpx
import pytest

from backstop_common.database import Transactions
from tests.support.admin_api import AS_ADMIN
from tests.support.factories import Factory


@pytest.mark.parametrize("action", ["recover", "fail", "ignore"])
async def test_an_action_on_an_open_task_is_a_message_and_a_line_in_the_audit_log(
    client: httpx.AsyncClient, transactions: Transactions, action: str
) -> None:
    task = await Factory(transactions).task()
    answer = await client.post(f"/api/admin/tasks/{task}/{action}", headers=AS_ADMIN, json={"note": "seen by Ada"})
    assert (answer.status_code, answer.json()) == (202, {"taskId": str(task), "action": action})
    async with transactions.read() as reading:
        message = await reading.row("SELECT body FROM outbox WHERE type = 'task.act'")
        audit = await reading.row("SELECT actor, action, subject, detail FROM audit_log")
    assert message is not None
    assert audit is not None
    body = json.loads(message["body"])
    assert body == {"task_id": str(task), "action": action, "actor": "admin", "note": "seen by Ada"}
    assert dict(audit) == {
        "actor": "admin",
        "action": f"task.{action}",
        "subject": f"task:{task}",
        "detail": {"via": "api", "note": "seen by Ada"},
    }


async def test_a_task_that_has_ended_is_a_409_and_nothing_is_told(
    client: httpx.AsyncClient, transactions: Transactions
) -> None:
    task = await Factory(transactions).task(billing="none")
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET status = 'completed', finished_at = now()")
    answer = await client.post(f"/api/admin/tasks/{task}/fail", headers=AS_ADMIN)
    assert (answer.status_code, "completed already" in answer.json()["detail"]) == (409, True)
    async with transactions.read() as reading:
        assert await reading.value("SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM audit_log)") == 0


async def test_an_unknown_task_is_a_404(client: httpx.AsyncClient) -> None:
    assert (await client.post(f"/api/admin/tasks/{uuid4()}/recover", headers=AS_ADMIN)).status_code == 404


async def test_a_stranger_may_not_act(client: httpx.AsyncClient, transactions: Transactions) -> None:
    task = await Factory(transactions).task()
    assert (await client.post(f"/api/admin/tasks/{task}/fail")).status_code == 401


async def test_a_note_that_is_too_long_is_named(client: httpx.AsyncClient, transactions: Transactions) -> None:
    task = await Factory(transactions).task()
    answer = await client.post(f"/api/admin/tasks/{task}/fail", headers=AS_ADMIN, json={"note": "x" * 501})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "note")


async def test_a_note_that_cannot_be_stored_is_named(client: httpx.AsyncClient, transactions: Transactions) -> None:
    task = await Factory(transactions).task()
    answer = await client.post(f"/api/admin/tasks/{task}/fail", headers=AS_ADMIN, json={"note": "a\x00b"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "note")
