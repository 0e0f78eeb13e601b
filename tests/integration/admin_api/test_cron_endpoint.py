"""The cron endpoint: one call, one run, and an answer that can wait for it."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import httpx
import pytest

from backstop_common.database import Transactions
from tests.support.admin_api import AS_ADMIN, AS_CRON, PlayedRecovery
from tests.support.factories import JOB, Factory
from tests.support.polling import eventually

CRON = "/api/cron/process-stuck-tasks"
RESULTS = {"completed": 3, "failed": 1, "stillProcessing": 2, "errors": 1, "totalFound": 7}


@pytest.fixture(autouse=True)
async def job(factory: Factory) -> None:
    """The scheduler has registered the job."""


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_call_makes_one_tick_with_its_message(
    client: httpx.AsyncClient, transactions: Transactions, recovery: PlayedRecovery, method: str
) -> None:
    answer = await client.request(method, CRON, headers=AS_CRON)
    assert answer.status_code == 202
    assert answer.json()["success"] is True
    async with transactions.read() as reading:
        ticks = await reading.rows("SELECT job_name, trigger FROM ticks")
        messages = await reading.value("SELECT count(*) FROM outbox WHERE type = 'tick.due'")
    assert [dict(tick) for tick in ticks] == [{"job_name": JOB, "trigger": "cron"}]
    assert messages == 1
    assert [str(run) for run in await recovery.start_pending()] == [answer.json()["executionId"]]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic Y3Jvbg=="},
        {"Authorization": b"Bearer \xff\xfe\xfd"},
        AS_ADMIN,
    ],
)
async def test_without_the_cron_secret_nothing_happens(
    client: httpx.AsyncClient, transactions: Transactions, headers: dict[str, str]
) -> None:
    answer = await client.post(CRON, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    async with transactions.read() as reading:
        assert await reading.value("SELECT count(*) FROM ticks") == 0


async def test_a_waiting_call_answers_with_the_results_of_the_run(
    client: httpx.AsyncClient, recovery: PlayedRecovery
) -> None:
    waiting = asyncio.create_task(client.get(CRON, params={"wait": 20}, headers=AS_CRON))
    _: list[UUID] = await eventually(lambda: recovery.work_off(results=RESULTS))
    answer = await waiting
    assert answer.status_code == 200
    body = answer.json()
    assert body.pop("executionId")
    assert body == {
        "success": True,
        "message": "The run completed.",
        "status": "completed",
        "results": {"completed": 3, "failed": 1, "stillProcessing": 2, "errors": 1},
        "totalFound": 7,
        "duration": 1234,
    }


@pytest.mark.parametrize("status", ["failed", "skipped"])
async def test_a_waiting_call_tells_why_a_run_did_not_complete(
    client: httpx.AsyncClient, recovery: PlayedRecovery, status: str
) -> None:
    waiting = asyncio.create_task(client.post(CRON, params={"wait": 20}, headers=AS_CRON))
    _: list[UUID] = await eventually(lambda: recovery.work_off(status=status, error="the reason"))
    answer = await waiting
    assert answer.status_code == 200
    assert (answer.json()["success"], answer.json()["message"]) == (False, "the reason")


async def test_a_run_that_takes_longer_than_the_wait_is_accepted(client: httpx.AsyncClient) -> None:
    answer = await client.post(CRON, params={"wait": 0.3}, headers=AS_CRON)
    assert answer.status_code == 202
    assert "not over after 0.3 s" in answer.json()["message"]


@pytest.mark.parametrize("wait", ["-1", "901", "nan", "soon"])
async def test_a_wait_out_of_bounds_is_refused_by_name(client: httpx.AsyncClient, wait: str) -> None:
    answer = await client.post(CRON, params={"wait": wait}, headers=AS_CRON)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "wait"


async def test_an_active_run_does_not_refuse_the_cron(client: httpx.AsyncClient, factory: Factory) -> None:
    await factory.run(status="running")
    assert (await client.post(CRON, headers=AS_CRON)).status_code == 202


async def test_the_same_idempotency_key_is_the_same_run(client: httpx.AsyncClient, transactions: Transactions) -> None:
    headers = {**AS_CRON, "Idempotency-Key": str(uuid4())}
    answers = await asyncio.gather(*(client.post(CRON, headers=headers) for _ in range(5)))
    assert len({answer.json()["executionId"] for answer in answers}) == 1
    async with transactions.read() as reading:
        assert await reading.value("SELECT count(*) FROM ticks") == 1
