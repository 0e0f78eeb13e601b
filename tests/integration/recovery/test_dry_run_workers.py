"""One worker carries a dry run, beside whatever else goes on; when it dies the watchdog closes the run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from sqlalchemy import text

from backstop_common.database import Transactions
from backstop_recovery.application.ports import Reference
from backstop_recovery.application.watch_runs import WatchRuns
from backstop_recovery.domain.verdict import Verdict
from tests.support.dry_runs import (
    SILENT_AFTER_SECONDS,
    DryRunner,
    deliver,
    dry_tick,
    previews,
    run_row,
)
from tests.support.factories import Factory
from tests.support.polling import eventually
from tests.support.recovery import RecoveryUnderTest, ScriptedProviders, broken_truths, one_output


@pytest.fixture
async def factory(transactions: Transactions) -> Factory:
    factory = Factory(transactions)
    await factory.job()
    return factory


@pytest.fixture
def dry(transactions: Transactions) -> DryRunner:
    return DryRunner(transactions, ScriptedProviders())


async def test_a_dry_run_and_a_run_go_on_beside_each_other(
    transactions: Transactions, factory: Factory, dry: DryRunner
) -> None:
    tasks = [await factory.task() for _ in range(30)]
    recovery = RecoveryUnderTest(transactions, providers=ScriptedProviders())
    first_dry = await dry.start("first")
    real = await recovery.start_run("real")
    second_dry = await dry.start("second")
    assert (await run_row(transactions, real))["status"] == "running"
    skipped = await run_row(transactions, second_dry)
    assert (skipped["status"], skipped["error_message"]) == ("skipped", f"dry run {first_dry} is still active")

    sweep = recovery.sweep()
    while await sweep.run_once():
        pass
    assert (await run_row(transactions, first_dry))["status"] == "running"
    await dry.work()

    assert (await run_row(transactions, real))["results"]["completed"] == len(tasks)
    told = await run_row(transactions, first_dry)
    assert (told["status"], told["results"]["totalFound"]) == ("completed", 0)
    assert await broken_truths(transactions) == {}


async def test_a_dry_run_in_the_middle_of_a_run_asks_about_what_is_left_and_holds_nothing_back(
    transactions: Transactions, factory: Factory, dry: DryRunner
) -> None:
    user = await factory.user(balance=10_000)
    for _ in range(300):
        await factory.task(user)
    recovery = RecoveryUnderTest(transactions)
    real = await recovery.start_run("real")
    rehearsed = await dry.start()

    async def work() -> None:
        sweep = recovery.sweep()
        while await sweep.run_once():
            pass

    await asyncio.gather(work(), dry.work())

    assert (await run_row(transactions, real))["results"]["completed"] == 300
    assert (await run_row(transactions, rehearsed))["status"] == "completed"
    assert {row["outcome"] for row in await previews(transactions, rehearsed)} <= {"completed"}
    assert await broken_truths(transactions) == {}


async def test_a_dry_run_works_while_the_job_is_paused(
    transactions: Transactions, factory: Factory, dry: DryRunner
) -> None:
    async with transactions.begin() as tx:
        await tx.execute("UPDATE jobs SET paused_at = now(), paused_by = 'ops'")
    assert (await run_row(transactions, await dry.run()))["status"] == "completed"


async def test_a_tick_delivered_twice_is_one_dry_run(
    transactions: Transactions, factory: Factory, dry: DryRunner
) -> None:
    await factory.task()
    due = await dry_tick(transactions, "dry")
    await asyncio.gather(deliver(transactions, due), deliver(transactions, due))
    await dry.work()
    await deliver(transactions, due)
    await dry.work()
    async with transactions.read() as reading:
        assert await reading.value("SELECT count(*) FROM cron_job_executions") == 1
        assert await reading.value("SELECT count(*) FROM outbox WHERE type = 'run.sweep'") == 1
        assert await reading.value("SELECT count(*) FROM run_previews") == 1


@dataclass
class SlowProviders:
    """Answers when the gate is open, which closes after so many; knows how many questions were open at once."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    closes_after: int = 1_000
    answered: int = 0
    asked: list[str] = field(default_factory=list)
    open: int = 0
    most: int = 0

    async def check(self, reference: Reference) -> Verdict:
        self.asked.append(reference.id)
        self.open += 1
        self.most = max(self.most, self.open)
        await self.gate.wait()
        self.open -= 1
        self.answered += 1
        if self.answered == self.closes_after:
            self.gate.clear()
        return one_output()


async def test_several_replicas_carry_a_dry_run_once(transactions: Transactions, factory: Factory) -> None:
    for _ in range(20):
        await factory.task()
    slow = SlowProviders()
    workers = [DryRunner(transactions, slow) for _ in range(3)]
    run = await workers[0].start()
    working = [asyncio.create_task(worker.work()) for worker in workers]
    await eventually(lambda: len(slow.asked) == 4)
    slow.gate.set()
    await asyncio.gather(*working)
    assert sorted(slow.asked) == sorted(set(slow.asked))
    assert len(await previews(transactions, run)) == 20
    async with transactions.read() as reading:
        assert await reading.value("SELECT count(*) FROM outbox WHERE type = 'run.finished'") == 1


async def test_no_more_is_asked_at_once_than_there_are_places(transactions: Transactions, factory: Factory) -> None:
    for _ in range(12):
        await factory.task()
    slow = SlowProviders()
    dry = DryRunner(transactions, slow, places=3)
    await dry.start()
    working = asyncio.create_task(dry.work())
    await eventually(lambda: slow.open == 3)
    slow.gate.set()
    await working
    assert (slow.most, len(slow.asked)) == (3, 12)


async def _kill(dry: DryRunner, turning: asyncio.Task[None]) -> None:
    """Everything the worker had going is gone at once, without a word."""
    for worker in [turning, *dry.carry._carried.values()]:
        worker.cancel()
    await asyncio.gather(turning, *dry.carry._carried.values(), return_exceptions=True)


async def _grow_silent(transactions: Transactions, run: UUID) -> None:
    async with transactions.begin() as tx:
        await tx.execute(
            "UPDATE cron_job_executions SET heartbeat_at = heartbeat_at - make_interval(secs => :silent)"
            " WHERE id = :id",
            silent=SILENT_AFTER_SECONDS + 1,
            id=run,
        )


async def test_a_dry_run_whose_worker_died_is_closed_by_the_watchdog_and_taken_up_by_nobody(
    transactions: Transactions, factory: Factory
) -> None:
    for _ in range(10):
        await factory.task()
    slow = SlowProviders(closes_after=4)
    dead = DryRunner(transactions, slow, page_size=4)
    run = await dead.start()
    turning = asyncio.create_task(dead.work())
    await eventually(lambda: slow.open == 4)
    slow.gate.set()
    await eventually(lambda: len(slow.asked) > 4)
    await _kill(dead, turning)
    survivor = RecoveryUnderTest(transactions)
    watch = WatchRuns(transactions, survivor.finish_run, SILENT_AFTER_SECONDS)

    other = DryRunner(transactions, ScriptedProviders())
    assert not await other.carry.run_once()
    await survivor.sweep().run_once()
    await watch()
    still = await run_row(transactions, run)
    await _grow_silent(transactions, run)
    await survivor.sweep().run_once()
    await watch()

    closed = await run_row(transactions, run)
    assert still["status"] == "running"
    assert closed["status"] == "failed"
    assert "died" in closed["error_message"]
    assert len(await previews(transactions, run)) == closed["results"]["totalFound"] < 10
    assert (await run_row(transactions, await other.run("next")))["results"]["completed"] == 10


async def test_the_pool_never_beats_for_a_dry_run_and_its_worker_does(
    transactions: Transactions, factory: Factory
) -> None:
    await factory.task()
    slow = SlowProviders()
    dry = DryRunner(transactions, slow)
    run = await dry.start()
    turning = asyncio.create_task(dry.work())
    await eventually(lambda: slow.open == 1)
    async with transactions.begin() as tx:
        await tx.execute("UPDATE cron_job_executions SET heartbeat_at = heartbeat_at - interval '60 seconds'")
    aged = (await run_row(transactions, run))["heartbeat_at"]
    assert not await RecoveryUnderTest(transactions).sweep().run_once()

    async def is_beaten() -> bool:
        return bool((await run_row(transactions, run))["heartbeat_at"] > aged)

    _: bool = await eventually(is_beaten)
    slow.gate.set()
    await turning


async def test_a_dry_run_that_was_closed_meanwhile_stops_asking(transactions: Transactions, factory: Factory) -> None:
    for _ in range(9):
        await factory.task()
    slow = SlowProviders()
    dry = DryRunner(transactions, slow, page_size=3)
    run = await dry.start()
    turning = asyncio.create_task(dry.work())
    await eventually(lambda: slow.open == 3)
    await RecoveryUnderTest(transactions).finish_run.as_failed(run, reason="the run passed its deadline")
    slow.gate.set()
    await turning
    assert len(slow.asked) == 3
    assert await previews(transactions, run) == []
    assert (await run_row(transactions, run))["status"] == "failed"


async def test_a_worker_that_stops_in_order_says_so_in_the_history(
    transactions: Transactions, factory: Factory
) -> None:
    await factory.task()
    slow = SlowProviders()
    dry = DryRunner(transactions, slow)
    run = await dry.start()
    turning = asyncio.create_task(dry.work())
    await eventually(lambda: slow.open == 1)
    await dry.carry.drain()
    await turning
    closed = await run_row(transactions, run)
    assert (closed["status"], closed["error_message"]) == (
        "failed",
        "recovery was stopped before the dry run was over",
    )


async def test_a_mistake_of_ours_fails_the_dry_run_with_its_reason(
    transactions: Transactions, factory: Factory, dry: DryRunner
) -> None:
    await factory.task()
    async with transactions.begin() as tx:
        await tx.execute("ALTER TABLE run_previews ADD CONSTRAINT ck_never CHECK (position < 0)")
    row = await run_row(transactions, await dry.run())
    assert row["status"] == "failed"
    assert row["error_message"] == "the database refused it: ck_never"


async def test_a_page_whose_database_went_away_is_told_once(
    transactions: Transactions, factory: Factory, dry: DryRunner
) -> None:
    for _ in range(3):
        await factory.task()
    run = await dry.start()

    async def is_blocked() -> int:
        async with transactions.read() as reading:
            return int(await reading.value(f"SELECT count(*) {blocked}"))

    blocked = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with transactions.engine.connect() as blocker:
        await blocker.execute(text("LOCK TABLE run_previews IN ACCESS EXCLUSIVE MODE"))
        turning = asyncio.create_task(dry.work())
        _ = await eventually(is_blocked)
        async with transactions.begin() as tx:
            await tx.execute(f"SELECT pg_terminate_backend(pid) {blocked}")
    await turning
    row = await run_row(transactions, run)
    assert (row["status"], row["results"]["totalFound"]) == ("completed", 3)
    assert len(await previews(transactions, run)) == 3
