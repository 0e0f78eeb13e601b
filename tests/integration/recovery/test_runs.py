"""A run starts once per tick, ends once when nothing is left, and is closed when its workers are gone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import RowMapping

from backstop_common.contracts import TickDue
from backstop_common.database import Transactions
from backstop_common.errors import PermanentError
from backstop_common.ids import event_id, tick_id
from backstop_common.messaging import Delivery, subscription
from backstop_common.messaging.processing import Dead, Incoming, process
from backstop_recovery.application.start_run import StartRun
from backstop_recovery.application.watch_runs import WatchRuns
from backstop_recovery.domain.verdict import Failed, StillRunning
from tests.support.factories import JOB, Factory
from tests.support.recovery import RecoveryUnderTest, broken_truths


@pytest.fixture
async def factory(transactions: Transactions) -> Factory:
    factory = Factory(transactions)
    await factory.job()
    return factory


@pytest.fixture
def recovery(transactions: Transactions) -> RecoveryUnderTest:
    return RecoveryUnderTest(transactions)


async def _run(transactions: Transactions, run: UUID) -> RowMapping:
    async with transactions.read() as reading:
        row = await reading.row("SELECT * FROM cron_job_executions WHERE id = :id", id=run)
    assert row is not None
    return row


async def _count(transactions: Transactions, event_type: str) -> int:
    async with transactions.read() as reading:
        return int(await reading.value("SELECT count(*) FROM outbox WHERE type = :type", type=event_type))


async def test_a_run_counts_every_outcome_and_finishes_once(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    user = await factory.user(balance=1000)
    tasks = [await factory.task(user) for _ in range(6)]
    recovery.providers.answers[f"p-{tasks[0].hex}"] = Failed("no")
    recovery.providers.answers[f"p-{tasks[1].hex}"] = StillRunning(queued=True, state="IN_QUEUE")

    run = await recovery.run()

    row = await _run(transactions, run)
    assert row["status"] == "completed"
    assert row["results"] == {"completed": 4, "failed": 1, "stillProcessing": 1, "errors": 0, "totalFound": 6}
    assert row["duration"] >= 0
    assert await _count(transactions, "run.finished") == 1
    assert await broken_truths(transactions) == {}


async def test_a_run_with_nothing_to_do_completes(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    await factory.task(age_seconds=60)
    run = await recovery.run()
    row = await _run(transactions, run)
    assert (row["status"], row["results"]["totalFound"]) == ("completed", 0)
    assert recovery.providers.asked == []


async def test_a_tick_delivered_twice_starts_one_run(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    await asyncio.gather(recovery.start_run("same"), recovery.start_run("same"))
    assert await _count(transactions, "run.started") == 1
    assert await _count(transactions, "run.sweep") == 2


def _tick(slot: str) -> TickDue:
    now = datetime.now(UTC)
    return TickDue(tick_id=tick_id(JOB, slot), job_name=JOB, slot=slot, trigger="manual", scheduled_for=now)


async def test_a_tick_of_an_unknown_job_is_a_dead_letter_that_names_the_job(transactions: Transactions) -> None:
    start_run = StartRun(transactions, parallelism=2, deadline_seconds=3600)
    incoming = Incoming(_tick("orphan").model_dump_json().encode(), str(uuid4()), None, None)
    result = await process(subscription("recovery", TickDue, start_run), incoming, patience_seconds=0)
    assert result == Dead(f"handler failed: PermanentError: there is no job '{JOB}'")


async def test_a_tick_that_came_before_its_job_works_when_it_is_delivered_again(
    transactions: Transactions, recovery: RecoveryUnderTest
) -> None:
    tick = _tick("early")
    delivery = Delivery("recovery.tick.due", event_id(TickDue.type, tick.tick_id), None)
    with pytest.raises(PermanentError):
        await StartRun(transactions, parallelism=2, deadline_seconds=3600)(tick, delivery)
    await Factory(transactions).job()
    run = await recovery.start_run("early")
    assert (await _run(transactions, run))["status"] == "running"


async def test_a_second_run_is_skipped_while_one_is_active(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    first = await recovery.start_run("first")
    second = await recovery.start_run("second")
    row = await _run(transactions, second)
    assert row["status"] == "skipped"
    assert str(first) in row["error_message"]


async def test_a_paused_job_runs_only_when_somebody_triggers_it(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    async with transactions.begin() as tx:
        await tx.execute("UPDATE jobs SET paused_at = now(), paused_by = 'ops'")
    scheduled = await recovery.start_run("scheduled")
    manual = await recovery.start_run("manual", trigger="manual")
    assert (await _run(transactions, scheduled))["status"] == "skipped"
    assert (await _run(transactions, manual))["status"] == "running"


async def test_several_workers_share_a_run_and_it_finishes_once(transactions: Transactions, factory: Factory) -> None:
    user = await factory.user(balance=10_000)
    for _ in range(60):
        await factory.task(user)
    workers = [RecoveryUnderTest(transactions) for _ in range(3)]
    run = await workers[0].start_run()

    async def work(worker: RecoveryUnderTest) -> None:
        sweep = worker.sweep()
        while await sweep.run_once():
            pass

    await asyncio.gather(*(work(worker) for worker in workers))

    row = await _run(transactions, run)
    assert (row["status"], row["results"]["completed"], row["results"]["totalFound"]) == ("completed", 60, 60)
    assert await _count(transactions, "run.finished") == 1
    assert await _count(transactions, "task.completed") == 60
    assert sum(len(worker.providers.asked) for worker in workers) == 60
    assert await broken_truths(transactions) == {}


async def test_a_run_is_not_finished_while_a_task_of_it_is_leased(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    await factory.task()
    run = await recovery.start_run()
    await recovery.claim_tasks.for_run(run, limit=1)
    assert not await recovery.finish_run.if_done(run)
    assert (await _run(transactions, run))["status"] == "running"


async def test_tasks_of_a_dead_worker_are_recovered_in_the_same_run(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    task = await factory.task()
    dead = RecoveryUnderTest(transactions, lease_seconds=0.0)
    run = await dead.start_run()
    await dead.claim_tasks.for_run(run, limit=1)

    sweep = recovery.sweep()
    while await sweep.run_once():
        pass

    assert (await _run(transactions, run))["results"]["completed"] == 1
    async with transactions.read() as reading:
        assert await reading.value("SELECT fence FROM tasks WHERE id = :id", id=task) == 2


async def test_a_run_without_workers_is_closed_as_failed_and_its_tasks_belong_to_the_next(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    await factory.task()
    lost = await factory.run(status="running", started_seconds_ago=1200)
    watch = WatchRuns(transactions, recovery.finish_run, silent_after_seconds=120)

    await watch()
    await watch()

    row = await _run(transactions, lost)
    assert row["status"] == "failed"
    assert "died" in row["error_message"]
    assert await _count(transactions, "run.finished") == 1
    following = await recovery.run("next")
    assert (await _run(transactions, following))["results"]["completed"] == 1


async def test_a_run_past_its_deadline_is_closed_as_failed(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    late = await factory.run(status="running", started_seconds_ago=100, heartbeat_seconds_ago=1, deadline_seconds=50)
    await WatchRuns(transactions, recovery.finish_run, silent_after_seconds=120)()
    row = await _run(transactions, late)
    assert (row["status"], row["error_message"]) == ("failed", "the run passed its deadline")


async def test_a_silent_run_is_not_taken_up_again(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    await factory.task()
    await factory.run(status="running", started_seconds_ago=1200)
    assert not await recovery.sweep().run_once()
    assert recovery.providers.asked == []


async def test_output_deadline_comes_before_age(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    old = await factory.task(age_seconds=5000)
    urgent = await factory.task(age_seconds=1000)
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET output_deadline_at = now() + interval '1 minute' WHERE id = :id", id=urgent)
    run = await recovery.start_run()
    first = await recovery.claim_tasks.for_run(run, limit=1)
    second = await recovery.claim_tasks.for_run(run, limit=1)
    assert [task.id for task in [*first, *second]] == [urgent, old]


async def test_a_renewed_lease_is_not_claimed_by_another(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    await factory.task()
    run = await recovery.start_run()
    held = await RecoveryUnderTest(transactions, lease_seconds=0.0).claim_tasks.for_run(run, limit=1)
    await recovery.sweep().renew(held)
    assert await recovery.claim_tasks.for_run(run, limit=1) == []


async def test_a_run_ends_once_although_ten_workers_find_it_done_at_once(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    for attempt in range(5):
        run = await recovery.start_run(f"slot-{attempt}")
        ended = await asyncio.gather(*(recovery.finish_run.if_done(run) for _ in range(10)))
        assert sum(ended) == 1
    assert await _count(transactions, "run.finished") == 5


async def test_groups_of_one_user_that_settle_at_once_leave_balances_that_follow_each_other(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    user = await factory.user(balance=1000)
    for _ in range(24):
        await factory.task(user, credits=10)
    run = await recovery.start_run()
    tasks = await recovery.claim_tasks.for_run(run, limit=24)
    resolutions = [await recovery.resolve_task(task) for task in tasks]
    await asyncio.gather(*(recovery.settle_tasks(resolutions[at : at + 2]) for at in range(0, 24, 2)))
    async with transactions.read() as reading:
        rows = await reading.rows("SELECT balance_after FROM credit_transactions WHERE kind = 'charge'")
    assert sorted(row["balance_after"] for row in rows) == list(range(760, 1000, 10))
    assert await broken_truths(transactions) == {}
