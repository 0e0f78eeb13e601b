"""Tick every job whose slot is due.

Any number of replicas may do this at once, without a leader: a slot is one row, and whoever comes second finds it.
A job whose schedule cannot be read is logged and counted and keeps none of the others from running.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter
from sqlalchemy import RowMapping

from backstop_common.database import Reading, Transactions
from backstop_common.ids import slot_of
from backstop_common.ticks import insert_tick
from backstop_scheduler.domain import Due, due_slot, parse_schedule

_log = structlog.get_logger(__name__)

TICKS = Counter("backstop_ticks_total", "Slots of a job and what became of them.", ["job", "result"])

Clock = Callable[[Reading], Awaitable[datetime]]

_JOBS = """
    SELECT name, schedule, timezone, greatest(scheduled_from, (
        SELECT max(scheduled_for) FROM ticks
        WHERE job_name = jobs.name AND trigger = 'schedule' AND scheduled_for <= :now
    )) AS after
    FROM jobs WHERE paused_at IS NULL ORDER BY name
"""


async def database_clock(reading: Reading) -> datetime:
    """The one clock all replicas share."""
    moment: datetime = await reading.value("SELECT clock_timestamp()")
    return moment


@dataclass(frozen=True, slots=True)
class TickJobs:
    """One look at all jobs.

    1. Read the jobs that are not paused, each with the moment up to which its slots are done: its newest scheduled
       tick, or the moment its schedule was set. A tick in the future (a clock that was ahead) holds nothing up.
    2. Per job, take the newest slot since then and not older than the catch-up window; it stands for the ones before.
    3. Insert its tick and `tick.due` in one transaction; a tick that is there already is another replica's.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions
    catch_up: timedelta
    clock: Clock = database_clock

    async def __call__(self) -> bool:
        """Always False: nothing more is due before the next look."""
        async with self.transactions.read() as reading:
            now = await self.clock(reading)
            jobs = await reading.rows(_JOBS, now=now)
        for job in jobs:
            due = self._due(job, now)
            if due is not None:
                await self._tick(job["name"], due)
        return False

    def _due(self, job: RowMapping, now: datetime) -> Due | None:
        try:
            schedule = parse_schedule(job["schedule"], job["timezone"])
        except ValueError as error:
            TICKS.labels(job=job["name"], result="invalid").inc()
            _log.error("schedule_invalid", job=job["name"], reason=str(error))
            return None
        return due_slot(schedule, after=job["after"], now=now, catch_up=self.catch_up)

    async def _tick(self, job_name: str, due: Due) -> None:
        async with self.transactions.begin() as tx:
            tick = await insert_tick(
                tx,
                job_name=job_name,
                slot=slot_of(due.slot),
                trigger="schedule",
                actor=None,
                scheduled_for=due.slot,
            )
        TICKS.labels(job=job_name, result="ticked" if tick.is_new else "duplicate").inc()
        if tick.is_new:
            TICKS.labels(job=job_name, result="coalesced").inc(due.coalesced_count)
            _log.info(
                "ticked",
                job=job_name,
                slot=slot_of(due.slot),
                run_id=str(tick.run_id),
                coalesced_count=due.coalesced_count,
            )
