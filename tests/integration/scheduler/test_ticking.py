"""Ticks on a real database: each slot once, whatever the number of schedulers and whatever the clock does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from backstop_common.database import Reading, Transactions
from backstop_common.running import open_runtime, start_services
from backstop_common.settings import load_settings
from backstop_scheduler.main import JOB, compose
from backstop_scheduler.register_job import RegisterJob
from backstop_scheduler.settings import SchedulerSettings
from backstop_scheduler.tick_jobs import TICKS, TickJobs
from tests.support.polling import eventually

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


class TestClock:
    """A clock that stands still until it is moved."""

    __test__ = False

    def __init__(self, moment: datetime = NOON) -> None:
        self.moment = moment

    async def __call__(self, _: Reading) -> datetime:
        return self.moment


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


async def _job(transactions: Transactions, name: str = JOB, schedule: str = "*/10 * * * *") -> None:
    async with transactions.begin() as tx:
        await tx.execute(
            "INSERT INTO jobs (name, schedule, scheduled_from) VALUES (:name, :schedule, :start)",
            name=name,
            schedule=schedule,
            start=NOON,
        )


async def _slots(transactions: Transactions, job: str = JOB) -> Sequence[str]:
    async with transactions.read() as reading:
        rows = await reading.rows("SELECT slot FROM ticks WHERE job_name = :job ORDER BY scheduled_for", job=job)
    return [row["slot"] for row in rows]


async def _messages(transactions: Transactions) -> int:
    async with transactions.read() as reading:
        return int(await reading.value("SELECT count(*) FROM outbox WHERE type = 'tick.due'"))


def _counted(result: str, job: str = JOB) -> float:
    return float(TICKS.labels(job=job, result=result)._value.get())


async def test_two_schedulers_tick_each_slot_once(transactions: Transactions, clock: TestClock) -> None:
    await _job(transactions)
    schedulers = [TickJobs(transactions, HOUR, clock) for _ in range(2)]
    for _ in range(60):
        clock.moment += timedelta(minutes=2)
        await asyncio.gather(*(scheduler() for scheduler in schedulers))
    expected = [f"2026-11-23T{12 + n // 6:02}:{n % 6 * 10:02}:00Z" for n in range(1, 13)]
    assert await _slots(transactions) == expected
    assert await _messages(transactions) == 12


async def test_missed_slots_become_one_tick_and_are_counted(transactions: Transactions, clock: TestClock) -> None:
    await _job(transactions)
    before = _counted("coalesced")
    clock.moment = NOON + timedelta(minutes=45)
    await TickJobs(transactions, HOUR, clock)()
    assert await _slots(transactions) == ["2026-11-23T12:40:00Z"]
    assert _counted("coalesced") - before == 3


async def test_a_clock_that_goes_back_ticks_no_slot_twice(transactions: Transactions, clock: TestClock) -> None:
    await _job(transactions)
    scheduler = TickJobs(transactions, HOUR, clock)
    for minutes in (10, 20, 8, 12, 21, 30):
        clock.moment = NOON + timedelta(minutes=minutes)
        await scheduler()
    assert await _slots(transactions) == [f"2026-11-23T12:{n}0:00Z" for n in (1, 2, 3)]
    assert await _messages(transactions) == 3


async def test_a_tick_from_a_clock_that_was_ahead_holds_nothing_up(
    transactions: Transactions, clock: TestClock
) -> None:
    await _job(transactions)
    scheduler = TickJobs(transactions, HOUR, clock)
    for minutes in (60 * 24 * 365, 10):
        clock.moment = NOON + timedelta(minutes=minutes)
        await scheduler()
    assert await _slots(transactions) == ["2026-11-23T12:10:00Z", "2027-11-23T12:00:00Z"]


async def test_a_paused_job_does_not_tick(transactions: Transactions, clock: TestClock) -> None:
    await _job(transactions)
    async with transactions.begin() as tx:
        await tx.execute("UPDATE jobs SET paused_at = now(), paused_by = 'ada'")
    clock.moment = NOON + HOUR
    await TickJobs(transactions, HOUR, clock)()
    assert await _slots(transactions) == []


async def test_an_unreadable_schedule_keeps_no_other_job_from_ticking(
    transactions: Transactions, clock: TestClock
) -> None:
    await _job(transactions, "a-broken-one", "whenever")
    await _job(transactions)
    clock.moment = NOON + timedelta(minutes=10)
    await TickJobs(transactions, HOUR, clock)()
    assert await _slots(transactions) == ["2026-11-23T12:10:00Z"]
    assert await _slots(transactions, "a-broken-one") == []


async def test_registering_the_same_schedule_again_changes_nothing(transactions: Transactions) -> None:
    register = RegisterJob(transactions)
    assert await register(name=JOB, schedule="*/10 * * * *", timezone="UTC")
    assert not await register(name=JOB, schedule="*/10 * * * *", timezone="UTC")


async def test_a_changed_schedule_counts_from_now_and_leaves_a_pause_alone(transactions: Transactions) -> None:
    await _job(transactions)
    async with transactions.begin() as tx:
        await tx.execute("UPDATE jobs SET paused_at = now(), paused_by = 'ada', scheduled_from = now() - interval '1d'")
    assert await RegisterJob(transactions)(name=JOB, schedule="*/5 * * * *", timezone="Europe/Berlin")
    async with transactions.read() as reading:
        job = await reading.row("SELECT *, now() - scheduled_from < interval '1 minute' AS fresh FROM jobs")
    assert job is not None
    assert (job["schedule"], job["timezone"], job["paused_by"], job["fresh"]) == (
        "*/5 * * * *",
        "Europe/Berlin",
        "ada",
        True,
    )


async def test_the_service_registers_its_job_and_ticks_by_the_databases_clock(
    database_url: str, transactions: Transactions
) -> None:
    settings = load_settings(
        SchedulerSettings, DATABASE_URL=database_url, BACKSTOP_SCHEDULER_PORT=0, BACKSTOP_SCHEDULE="* * * * * *"
    )
    runtime = open_runtime(settings, name="scheduler")
    async with start_services(runtime, [compose(settings, runtime)]):

        async def ticked_twice() -> bool:
            return len(await _slots(transactions)) >= 2

        _: bool = await eventually(ticked_twice)
