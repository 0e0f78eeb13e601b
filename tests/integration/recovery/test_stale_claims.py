"""A claim decides once and only while it is held: a repeat and an older claim of the same task change nothing."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from backstop_common.database import Transactions
from backstop_recovery.domain.resolution import Resolution
from backstop_recovery.domain.verdict import Failed, NotFound, StillRunning, Unknown, UnknownReason, Verdict
from tests.support.factories import Factory
from tests.support.recovery import RecoveryUnderTest, broken_truths

RUNNING = StillRunning(queued=False, state="processing")
OPEN = [RUNNING, NotFound("no such id"), Unknown(UnknownReason.SERVER_ERROR, "500")]


@pytest.fixture
async def factory(transactions: Transactions) -> Factory:
    factory = Factory(transactions)
    await factory.job()
    return factory


@pytest.fixture
def worker(transactions: Transactions) -> RecoveryUnderTest:
    """Its leases run out at once, so it may claim a second time what it still holds."""
    return RecoveryUnderTest(transactions, lease_seconds=0.0)


async def _claim_and_resolve(worker: RecoveryUnderTest, run: UUID, verdict: Verdict | None = None) -> Resolution:
    """The only open task, with this verdict; without one it has succeeded."""
    (task,) = await worker.claim_tasks.for_run(run, limit=1)
    if verdict is not None and task.provider_task_id is not None:
        worker.providers.answers[task.provider_task_id] = verdict
    resolution = await worker.resolve_task(task)
    worker.providers.answers.clear()
    return resolution


@pytest.mark.parametrize("verdict", OPEN, ids=lambda verdict: type(verdict).__name__)
async def test_settling_an_open_resolution_again_changes_nothing(
    transactions: Transactions, factory: Factory, worker: RecoveryUnderTest, verdict: Verdict
) -> None:
    await factory.task()
    resolution = await _claim_and_resolve(worker, await worker.start_run(), verdict)

    await worker.settle_tasks([resolution])
    again = await worker.settle_tasks([resolution])

    assert (again.settled, again.lost) == ((), (resolution,))
    async with transactions.read() as reading:
        assert await reading.value("SELECT check_count FROM tasks") == 1
        assert await reading.value("SELECT count(*) FROM task_events WHERE kind = 'checked'") == 1
        results = await reading.value("SELECT results FROM cron_job_executions")
    assert results["totalFound"] == 1


async def test_a_denial_settled_again_is_not_a_second_denial(
    transactions: Transactions, factory: Factory, worker: RecoveryUnderTest
) -> None:
    await factory.task()
    resolution = await _claim_and_resolve(worker, await worker.start_run(), NotFound("no such id"))
    for _ in range(3):
        await worker.settle_tasks([resolution])
    async with transactions.read() as reading:
        assert await reading.value("SELECT not_found_count FROM tasks") == 1


@pytest.mark.parametrize("fresh_first", [True, False], ids=["fresh first", "stale first"])
@pytest.mark.parametrize("billing", ["none", "hold"])
@pytest.mark.parametrize("stale_verdict", [Failed("wrong"), RUNNING], ids=["failed", "running"])
async def test_a_stale_claim_in_the_group_of_the_fresh_one_decides_nothing(
    transactions: Transactions,
    factory: Factory,
    worker: RecoveryUnderTest,
    fresh_first: bool,
    billing: str,
    stale_verdict: Verdict,
) -> None:
    await factory.task(billing=billing)
    run = await worker.start_run()
    stale = await _claim_and_resolve(worker, run, stale_verdict)
    fresh = await _claim_and_resolve(worker, run)
    settle = worker.sweep().settle

    group = [fresh, stale] if fresh_first else [stale, fresh]
    await asyncio.gather(*(settle.settle(resolution) for resolution in group))

    async with transactions.read() as reading:
        status = await reading.value("SELECT status FROM tasks")
        told = [row["type"] for row in await reading.rows("SELECT type FROM outbox WHERE type LIKE 'task.%'")]
    assert (status, told) == ("completed", ["task.completed"])
    assert await broken_truths(transactions) == {}


async def test_a_group_with_two_claims_of_one_task_settles_the_newer_and_loses_the_older(
    factory: Factory, worker: RecoveryUnderTest
) -> None:
    await factory.task()
    run = await worker.start_run()
    stale, fresh = await _claim_and_resolve(worker, run), await _claim_and_resolve(worker, run)
    settled = await worker.settle_tasks([stale, fresh])
    assert (settled.settled, settled.lost) == ((fresh,), (stale,))
