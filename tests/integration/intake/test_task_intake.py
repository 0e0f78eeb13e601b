"""Registering tasks: money, idempotency, and what is refused with which remedy."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from backstop_common.database import Transactions
from backstop_common.ids import transaction_id
from tests.support.intake import App, balances, count, task_body


def _field(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["errors"][0]["field"])


async def test_a_hold_freezes_the_credits_with_the_task(app: App, transactions: Transactions) -> None:
    await app.with_credits(30)
    body = task_body(metadata={"prompt": "a lighthouse"})
    answer = await app.send(body)
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/api/tasks/{body['id']}"
    told = answer.json()
    assert told["status"] == "processing"
    assert told["nextCheckAt"] is None
    assert [(e["kind"], e["amount"], e["balanceAfter"], e["frozenAfter"]) for e in told["entries"]] == [
        ("hold", 10, 30, 10)
    ]
    assert told["settlement"] is None
    assert [event["kind"] for event in told["timeline"]] == ["registered"]
    assert await balances(transactions) == (30, 10)
    async with transactions.read() as reading:
        entry = await reading.value("SELECT id FROM credit_transactions WHERE kind = 'hold'")
    assert entry == transaction_id(told["id"], "hold")


@pytest.mark.parametrize("billing", ["on_success", "prepaid", "none"])
async def test_other_billing_moves_nothing_at_intake(app: App, transactions: Transactions, billing: str) -> None:
    await app.with_credits(5)
    answer = await app.register(billing=billing, credits=10)
    assert (answer.status_code, answer.json()["entries"]) == (201, [])
    assert await balances(transactions) == (5, 0)


async def test_a_hold_that_does_not_fit_is_a_402_and_leaves_nothing(app: App, transactions: Transactions) -> None:
    await app.with_credits(15)
    assert (await app.register(credits=10)).status_code == 201
    answer = await app.register(credits=10)
    assert (answer.status_code, answer.headers["content-type"]) == (402, "application/problem+json")
    assert (answer.json()["required"], answer.json()["available"]) == (10, 5)
    assert (await count(transactions, "tasks"), await count(transactions, "task_events")) == (1, 1)
    assert await balances(transactions) == (15, 10)


async def test_a_refused_hold_does_not_leave_the_user_that_came_along(app: App, transactions: Transactions) -> None:
    assert (await app.register(user={"email": "ada@example.com", "name": "Ada"})).status_code == 402
    assert await count(transactions, "users") == 0


async def test_a_user_can_come_along_with_the_task(app: App, transactions: Transactions) -> None:
    answer = await app.register(billing="none", user={"email": "ada@example.com", "name": "Ada"})
    assert answer.status_code == 201
    assert (await app.put_user("ada")).json()["email"] == "ada@example.com"
    assert await balances(transactions) == (0, 0)


async def test_a_user_who_is_there_is_not_changed_by_a_task(app: App) -> None:
    await app.put_user("ada", name="Ada", notify=False)
    await app.register(billing="none", user={"email": "other@example.com", "name": "Other"})
    told = (await app.put_user("ada")).json()
    assert (told["name"], told["email"], told["notify"]) == ("Ada", None, False)


async def test_a_user_nobody_knows_is_named_with_the_remedy(app: App) -> None:
    answer = await app.register(userId="nobody")
    assert answer.status_code == 422
    assert _field(answer) == "userId"
    assert "user: {email, name}" in answer.json()["detail"]


async def test_the_same_task_again_is_a_200_and_one_hold(app: App, transactions: Transactions) -> None:
    await app.with_credits(100)
    body = task_body(submittedAt="2026-11-23T12:00:00.123456Z", metadata={"a": [1, 2.5, None], "b": {"ü": True}})
    answers = [await app.send(body) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 200, 200]
    assert answers[2].json() == answers[0].json()
    assert await balances(transactions) == (100, 10)
    assert await count(transactions, "task_events") == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("userId", "bob"),
        ("kind", "image"),
        ("provider", "kie_market"),
        ("providerTaskId", "another"),
        ("providerTaskId", None),
        ("credits", 11),
        ("billing", "prepaid"),
        ("submittedAt", "2026-11-23T12:00:01Z"),
        ("metadata", {"a": 2}),
    ],
)
async def test_a_task_that_differs_is_a_409_that_names_the_field(
    app: App, transactions: Transactions, field: str, value: Any
) -> None:
    await app.with_credits(100)
    await app.with_credits(100, "bob")
    body = task_body(submittedAt="2026-11-23T12:00:00Z", metadata={"a": 1})
    await app.send(body)
    answer = await app.send({**body, field: value})
    assert answer.status_code == 409
    assert _field(answer) == field
    assert await balances(transactions) == (100, 10)


async def test_one_generation_is_one_task(app: App, transactions: Transactions) -> None:
    await app.with_credits(100)
    body = task_body()
    await app.send(body)
    answer = await app.send({**body, "id": str(uuid4())})
    assert (answer.status_code, _field(answer)) == (409, "providerTaskId")
    assert await balances(transactions) == (100, 10)


async def test_without_an_id_one_is_made(app: App) -> None:
    await app.with_credits(100)
    told = (await app.register(id=...)).json()
    assert (await app.read(told["id"])).json() == told


async def test_a_task_may_wait_for_its_provider_id(app: App) -> None:
    await app.with_credits(100)
    assert (await app.register(providerTaskId=None)).json()["providerTaskId"] is None
    assert (await app.register(providerTaskId=..., provider="fal")).status_code == 201


async def test_without_a_moment_it_was_submitted_now(app: App) -> None:
    told = (await app.register(billing="none", user={})).json()
    assert abs(datetime.fromisoformat(told["submittedAt"]) - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_clock_that_is_a_little_ahead_is_borne_and_a_future_is_not(app: App) -> None:
    await app.put_user("ada")
    soon, later = (datetime.now(UTC) + timedelta(minutes=minutes) for minutes in (2, 20))
    assert (await app.register(billing="none", submittedAt=soon.isoformat())).status_code == 201
    answer = await app.register(billing="none", submittedAt=later.isoformat())
    assert (answer.status_code, _field(answer)) == (422, "submittedAt")


async def test_an_unknown_provider_is_told_the_known_ones(app: App) -> None:
    answer = await app.register(provider="replicat")
    assert (answer.status_code, _field(answer)) == (422, "provider")
    assert "replicate" in answer.json()["detail"]
    assert "PROVIDERS_FILE" in answer.json()["detail"]


@pytest.mark.parametrize(
    "metadata", [{}, {"app": ""}, {"app": 5}, {"status_url": "https://queue.fal.run/a/b/requests/1/status"}]
)
async def test_fal_needs_more_than_the_id(app: App, metadata: dict[str, Any]) -> None:
    await app.put_user("ada")
    answer = await app.register(provider="fal", billing="none", metadata=metadata)
    assert answer.status_code == 422
    assert _field(answer) == "metadata.app"
    assert "metadata.response_url" in answer.json()["detail"]


@pytest.mark.parametrize(
    "metadata",
    [
        {"app": "fal-ai/flux"},
        {
            "status_url": "https://queue.fal.run/a/b/requests/1/status",
            "response_url": "https://queue.fal.run/a/b/requests/1",
        },
    ],
)
async def test_fal_is_content_with_the_app_or_both_addresses(app: App, metadata: dict[str, Any]) -> None:
    await app.put_user("ada")
    assert (await app.register(provider="fal", billing="none", metadata=metadata)).status_code == 201


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "1"),
        ("userId", ""),
        ("userId", ...),
        ("kind", "audio"),
        ("billing", "free"),
        ("billing", ...),
        ("credits", -1),
        ("credits", 1.5),
        ("credits", "10"),
        ("credits", 10**13),
        ("providerTaskId", ""),
        ("providerTaskId", "a b"),
        ("providerTaskId", "a\x00"),
        ("submittedAt", "2026-11-23T12:00:00"),
        ("submittedAt", "0001-01-01T00:00:00+14:00"),
        ("submittedAt", "yesterday"),
        ("metadata", [1]),
        ("metadata", {"a": "\x00"}),
        ("metadata", {"\x00": "a"}),
        ("providerTaskID", "p-1"),
        ("user.email", "nobody"),
    ],
)
async def test_what_is_no_task_names_its_field(app: App, transactions: Transactions, field: str, value: Any) -> None:
    await app.with_credits(100)
    change = {"user": {"email": value}} if field == "user.email" else {field: value}
    answer = await app.register(**change)
    assert (answer.status_code, _field(answer)) == (422, field)
    assert await count(transactions, "tasks") == 0


async def test_credits_left_out_are_not_zero(app: App) -> None:
    await app.put_user("ada")
    answer = await app.register(credits=...)
    assert answer.status_code == 422
    assert "credits is missing" in answer.json()["detail"]
    assert (await app.register(credits=..., billing="none")).status_code == 201


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'"a"', b'{"metadata": ' + b"[" * 30_000, b"\xff", b'{"userId": "\\ud800"}']
)
async def test_what_is_no_json_is_a_problem_and_no_error_of_ours(app: App, content: bytes) -> None:
    headers = {**app.headers, "Content-Type": "application/json"}
    answer = await app.client.post("/api/tasks", content=content, headers=headers)
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b'"\\ud800"', b'"\\u0000"'])
async def test_metadata_that_cannot_be_kept_is_refused(app: App, literal: bytes) -> None:
    await app.put_user("ada")
    content = (
        b'{"userId": "ada", "kind": "video", "provider": "replicate", "billing": "none", "metadata": {"a": %s}}'
        % literal
    )
    headers = {**app.headers, "Content-Type": "application/json"}
    answer = await app.client.post("/api/tasks", content=content, headers=headers)
    assert (answer.status_code, _field(answer)) == (422, "metadata")


async def test_a_body_without_end_is_refused(app: App) -> None:
    assert (await app.register(metadata={"a": "x" * 70_000})).status_code == 413


async def test_the_same_task_at_once_is_one_hold(app: App, transactions: Transactions) -> None:
    await app.with_credits(100)
    body = task_body()
    answers = await asyncio.gather(*(app.send(body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert await balances(transactions) == (100, 10)
    assert await count(transactions, "task_events") == 1


async def test_holds_that_race_for_a_balance_get_exactly_what_fits(app: App, transactions: Transactions) -> None:
    await app.with_credits(10)
    answers = await asyncio.gather(*(app.register(credits=1) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] * 10 + [402] * 10
    assert await balances(transactions) == (10, 10)
    assert await count(transactions, "tasks") == 10


async def test_a_user_who_comes_along_with_many_tasks_at_once_is_one_user(app: App, transactions: Transactions) -> None:
    answers = await asyncio.gather(*(app.register(billing="none", user={"name": "Ada"}) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert await count(transactions, "users") == 1
