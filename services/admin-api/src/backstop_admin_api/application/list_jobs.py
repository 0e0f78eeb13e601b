"""List the jobs: their schedules, their next slot, their last run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import RowMapping

from backstop_admin_api.application.run import RUN_COLUMNS, Run
from backstop_admin_api.domain import in_words, next_slot
from backstop_common.database import Transactions

_JOBS = """
    SELECT name, schedule, timezone, overlap, paused_at, paused_by, pause_note, (
        SELECT max(scheduled_for) FROM ticks WHERE job_name = jobs.name AND trigger = 'schedule'
    ) AS last_slot
    FROM jobs ORDER BY name
"""
_LAST_RUNS = f"""
    SELECT last_run.* FROM jobs CROSS JOIN LATERAL (
        SELECT {RUN_COLUMNS} FROM cron_job_executions
        WHERE job_name = jobs.name AND NOT dry_run ORDER BY started_at DESC, id DESC LIMIT 1
    ) AS last_run
"""  # noqa: S608 - the columns are a constant


@dataclass(frozen=True, slots=True)
class Job:
    """A schedule. `next_slot` is None while it is paused, `last_slot` is the newest one the scheduler ticked.

    A dry run is nobody's last run.
    """

    name: str
    schedule: str
    schedule_in_words: str
    timezone: str
    overlap: str
    paused_at: datetime | None
    paused_by: str | None
    pause_note: str | None
    next_slot: datetime | None
    last_slot: datetime | None
    last_run: Run | None

    @property
    def is_paused(self) -> bool:
        """Whether its slots are left out for now."""
        return self.paused_at is not None


@dataclass(frozen=True, slots=True)
class ListJobs:
    """All jobs by name; the next slot is reckoned from the database's clock.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions

    async def __call__(self) -> Sequence[Job]:
        """There are a handful of them: no paging."""
        async with self.transactions.read() as reading:
            now = await reading.value("SELECT clock_timestamp()")
            jobs = await reading.rows(_JOBS)
            last_runs = {row["job_name"]: Run.of(row) for row in await reading.rows(_LAST_RUNS)}
        return [_job(row, now, last_runs.get(row["name"])) for row in jobs]


def _job(row: RowMapping, now: datetime, last_run: Run | None) -> Job:
    paused = row["paused_at"] is not None
    return Job(
        **row,
        schedule_in_words=in_words(row["schedule"]),
        next_slot=None if paused else next_slot(row["schedule"], row["timezone"], now),
        last_run=last_run,
    )
