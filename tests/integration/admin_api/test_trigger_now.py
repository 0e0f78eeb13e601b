"""Trigger now: one run for one wish, refused with a link while a run is active, always in the audit log."""

from __future__ import annotations

import asyncio
from uuid import UUID

import httpx
import pytest

from backstop_common.database import Transactions
from tests.support.admin_api import AS_ADMIN, AS_CRON, PlayedRecovery
from tests.support.factories import JOB, Factory
from tests.support.polling import eventually

TRIGGER = "/api/admin/trigger-cron"


@pytest.fixture(autouse=True)
async def job(factory: Factory) -> None:
    """The scheduler has registered the job."""


async def test_a_trigger_is_a_manual_tick_and_is_audited(client: httpx.AsyncClient, transactions: Transactions) -> None:
    answer = await client.post(TRIGGER, headers=AS_ADMIN)
    assert answer.status_code == 202
    async with transactions.read() as reading:
        tick = await reading.row("SELECT job_name, trigger, actor FROM ticks")
        audit = await reading.row("SELECT actor, action, subject, detail FROM audit_log")
    assert tick is not None
    assert dict(tick) == {"job_name": JOB, "trigger": "manual", "actor": "admin"}
    assert audit is not None
    assert dict(audit) == {
        "actor": "admin",
        "action": "run.trigger",
        "subject": f"run:{answer.json()['executionId']}",
        "detail": {"jobName": JOB, "via": "api"},
    }


async def test_an_active_run_refuses_a_second_one_and_names_itself(
    client: httpx.AsyncClient, factory: Factory, transactions: Transactions
) -> None:
    run = await factory.run(status="running")
    answer = await client.post(TRIGGER, headers=AS_ADMIN)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["executionId"] == str(run)
    async with transactions.read() as reading:
        assert await reading.value("SELECT count(*) FROM ticks") == 0
        assert await reading.value("SELECT count(*) FROM audit_log") == 0


async def test_a_tick_without_a_run_counts_as_active_for_two_minutes(
    client: httpx.AsyncClient, transactions: Transactions
) -> None:
    first = await client.post(TRIGGER, headers=AS_ADMIN)
    second = await client.post(TRIGGER, headers=AS_ADMIN)
    assert second.status_code == 409
    assert second.json()["executionId"] == first.json()["executionId"]
    async with transactions.begin() as tx:
        await tx.execute("UPDATE ticks SET created_at = created_at - interval '121 seconds'")
    assert (await client.post(TRIGGER, headers=AS_ADMIN)).status_code == 202


async def test_of_many_triggers_at_once_one_is_taken(client: httpx.AsyncClient, transactions: Transactions) -> None:
    answers = await asyncio.gather(*(client.post(TRIGGER, headers=AS_ADMIN) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [202, *[409] * 7]
    assert len({answer.json()["executionId"] for answer in answers}) == 1
    async with transactions.read() as reading:
        assert await reading.value("SELECT count(*) FROM ticks") == 1


async def test_a_double_click_is_one_run_and_one_line_of_audit(
    client: httpx.AsyncClient, transactions: Transactions, recovery: PlayedRecovery
) -> None:
    headers = {**AS_ADMIN, "Idempotency-Key": "click-1"}
    first, second = await asyncio.gather(*(client.post(TRIGGER, headers=headers) for _ in range(2)))
    await recovery.start_pending()
    third = await client.post(TRIGGER, headers=headers)
    assert [answer.status_code for answer in (first, second, third)] == [202, 202, 202]
    assert len({answer.json()["executionId"] for answer in (first, second, third)}) == 1
    async with transactions.read() as reading:
        assert await reading.value("SELECT count(*) FROM audit_log") == 1


async def test_a_trigger_can_wait_for_its_run(client: httpx.AsyncClient, recovery: PlayedRecovery) -> None:
    waiting = asyncio.create_task(client.post(TRIGGER, params={"wait": 20}, headers=AS_ADMIN))
    _: list[UUID] = await eventually(recovery.work_off)
    answer = await waiting
    assert answer.status_code == 200
    assert answer.json()["message"] == "Nothing was stuck."


async def test_an_ended_run_leaves_the_way_free(client: httpx.AsyncClient, recovery: PlayedRecovery) -> None:
    await client.post(TRIGGER, headers=AS_ADMIN)
    await recovery.work_off()
    assert (await client.post(TRIGGER, headers=AS_ADMIN)).status_code == 202


async def test_another_jobs_run_is_in_nobodys_way(client: httpx.AsyncClient, factory: Factory) -> None:
    await factory.run(status="running")
    await factory.job("audit")
    answer = await client.post(TRIGGER, headers=AS_ADMIN, json={"jobName": "audit"})
    assert answer.status_code == 202


async def test_a_job_that_is_not_there_is_a_404(client: httpx.AsyncClient) -> None:
    answer = await client.post(TRIGGER, headers=AS_ADMIN, json={"jobName": "no-such-job"})
    assert answer.status_code == 404
    assert "no-such-job" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "field"), [({"jobName": ""}, "jobName"), ({"jobName": "a\x00b"}, "jobName"), ({"jobName": 7}, "jobName")]
)
async def test_a_body_that_cannot_be_meant_is_refused_by_field(
    client: httpx.AsyncClient, body: dict[str, object], field: str
) -> None:
    answer = await client.post(TRIGGER, headers=AS_ADMIN, json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize("headers", [{}, AS_CRON, {"Authorization": "Bearer x"}])
async def test_without_the_admin_token_nothing_happens(
    client: httpx.AsyncClient, transactions: Transactions, headers: dict[str, str]
) -> None:
    answer = await client.post(TRIGGER, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    async with transactions.read() as reading:
        assert await reading.value("SELECT count(*) FROM ticks") == 0
