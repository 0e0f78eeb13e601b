"""An app may hold the credits first and tell the provider's id when it has one: once, and for an open task only."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backstop_common.database import Transactions
from tests.support.intake import App, balances, task_body


async def test_the_provider_id_may_come_later_and_moves_nothing(app: App, transactions: Transactions) -> None:
    await app.with_credits(30)
    body = task_body(providerTaskId=None)
    assert (await app.send(body)).status_code == 201
    answer = await app.send({**body, "providerTaskId": "p-1"})
    assert (answer.status_code, answer.json()["providerTaskId"]) == (200, "p-1")
    assert [event["kind"] for event in answer.json()["timeline"]] == ["registered", "submitted"]
    assert (await app.send({**body, "providerTaskId": "p-1"})).status_code == 200
    assert await balances(transactions) == (30, 10)


async def test_a_provider_id_comes_once(app: App) -> None:
    await app.with_credits(30)
    body = task_body(providerTaskId=None)
    for name in (None, "p-1"):
        await app.send({**body, "providerTaskId": name})
    for other in ("p-2", None):
        answer = await app.send({**body, "providerTaskId": other})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (409, "providerTaskId")


@pytest.mark.parametrize(("field", "value"), [("credits", 11), ("kind", "image"), ("metadata", {"other": "prompt"})])
async def test_nothing_else_may_change_with_it(app: App, field: str, value: Any) -> None:
    await app.with_credits(30)
    body = task_body(providerTaskId=None)
    await app.send(body)
    answer = await app.send({**body, "providerTaskId": "p-1", field: value})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (409, field)


async def test_a_generation_of_another_task_is_refused(app: App) -> None:
    await app.with_credits(30)
    await app.send(task_body(providerTaskId="p-1"))
    body = task_body(providerTaskId=None)
    await app.send(body)
    assert (await app.send({**body, "providerTaskId": "p-1"})).status_code == 409


async def test_of_two_tasks_that_name_one_generation_at_once_one_is_refused(app: App) -> None:
    await app.with_credits(30)
    for number in range(10):
        bodies = [task_body(providerTaskId=None, billing="none") for _ in range(4)]
        for body in bodies:
            await app.send(body)
        answers = await asyncio.gather(*(app.send({**body, "providerTaskId": f"p-{number}"}) for body in bodies))
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]


async def test_a_task_that_has_ended_gets_no_provider_id(app: App, transactions: Transactions) -> None:
    await app.with_credits(30)
    body = task_body(providerTaskId=None, billing="none")
    await app.send(body)
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET status = 'failed', finished_at = now()")
    assert (await app.send({**body, "providerTaskId": "p-1"})).status_code == 409


async def test_the_check_of_a_named_task_is_scheduled_anew(app: App, transactions: Transactions) -> None:
    await app.with_credits(30)
    body = task_body(providerTaskId=None)
    await app.send(body)
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET next_check_at = now() + interval '5 minutes'")
    await app.send({**body, "providerTaskId": "p-1"})
    async with transactions.read() as reading:
        assert await reading.value("SELECT next_check_at FROM tasks") is None
