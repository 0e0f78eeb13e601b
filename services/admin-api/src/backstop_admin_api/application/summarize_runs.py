"""Sum up all runs there ever were.

A short history is summed up by the database each time. Of a long one (20,000 runs) the part older than an hour is
summed up once in ten minutes and kept, and each call adds the part since then: exact for what happens now, at most ten
minutes late for changes to older rows (a run that took longer than an hour, a retention job that removes rows).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Self

from sqlalchemy import RowMapping

from backstop_common.database import Transactions

LONG_HISTORY = 20_000

_SUMS = """
    SELECT job_name, count(*) AS rows,
        count(*) FILTER (WHERE status IN ('running', 'completed', 'failed')) AS executions,
        count(*) FILTER (WHERE status = 'completed') AS completed,
        count(*) FILTER (WHERE status = 'failed') AS failed,
        coalesce(sum(duration) FILTER (WHERE status IN ('completed', 'failed')), 0)::bigint AS duration,
        coalesce(sum((results ->> 'completed')::bigint), 0)::bigint AS tasks_recovered,
        coalesce(sum((results ->> 'failed')::bigint), 0)::bigint AS tasks_failed,
        coalesce(sum((results ->> 'errors')::bigint), 0)::bigint AS errors,
        coalesce(sum((results ->> 'totalFound')::bigint), 0)::bigint AS found
    FROM cron_job_executions WHERE NOT dry_run
"""
_ALL = f"{_SUMS} GROUP BY job_name"
_OLD = f"{_SUMS} AND started_at < :boundary GROUP BY job_name"
_RECENT = f"{_SUMS} AND started_at >= :boundary GROUP BY job_name"


@dataclass(frozen=True, slots=True)
class Sums:
    """What can be added up; `duration` is milliseconds over completed and failed runs."""

    rows: int = 0
    executions: int = 0
    completed: int = 0
    failed: int = 0
    duration: int = 0
    tasks_recovered: int = 0
    tasks_failed: int = 0
    errors: int = 0
    found: int = 0

    @classmethod
    def of(cls, row: RowMapping) -> Self:
        """The sums of a row."""
        return cls(**{field.name: row[field.name] for field in fields(cls)})

    def __add__(self, other: Sums) -> Sums:
        """Both together."""
        return Sums(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(Sums)))


@dataclass(frozen=True, slots=True)
class Statistics:
    """Numbers over all runs, never null: what cannot be reckoned yet is 0 (see the two `has_` flags).

    Rates are percent from 0 to 100, the duration is milliseconds. Slots that did not run (skipped, missed) are no
    executions.
    """

    total_executions: int
    success_rate: float
    avg_duration: int
    total_tasks_recovered: int
    total_tasks_failed: int
    error_rate: float
    has_ended: bool
    has_found: bool

    @classmethod
    def of(cls, sums: Sums) -> Self:
        """The statistics of these sums."""
        ended = sums.completed + sums.failed
        return cls(
            total_executions=sums.executions,
            success_rate=_percent(sums.completed, ended),
            avg_duration=round(sums.duration / ended) if ended else 0,
            total_tasks_recovered=sums.tasks_recovered,
            total_tasks_failed=sums.tasks_failed,
            error_rate=_percent(sums.errors, sums.found),
            has_ended=ended > 0,
            has_found=sums.found > 0,
        )


@dataclass(frozen=True, slots=True)
class _Kept:
    boundary: datetime
    by_job: dict[str, Sums]


@dataclass(slots=True)
class SummarizeRuns:
    """Over every run of a job, or of all jobs; not over a page. Dry runs changed nothing and are left out.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions
    long_history: int = LONG_HISTORY
    _kept: _Kept | None = None

    async def __call__(self, job_name: str | None) -> Statistics:
        """The statistics of a job, or of all."""
        kept = self._kept
        if kept is None:
            by_job = await self._sums(_ALL)
            if sum(sums.rows for sums in by_job.values()) >= self.long_history:
                await self.keep()
            return Statistics.of(_total([by_job], job_name))
        recent = await self._sums(_RECENT, boundary=kept.boundary)
        return Statistics.of(_total([kept.by_job, recent], job_name))

    async def keep(self) -> bool:
        """Sum up the old part of a long history; always False (nothing more to do)."""
        async with self.transactions.read() as reading:
            boundary = await reading.value("SELECT clock_timestamp() - interval '1 hour'")
        by_job = await self._sums(_OLD, boundary=boundary)
        is_long = sum(sums.rows for sums in by_job.values()) >= self.long_history
        self._kept = _Kept(boundary, by_job) if is_long else None
        return False

    async def _sums(self, sql: str, **parameters: object) -> dict[str, Sums]:
        async with self.transactions.read() as reading:
            rows = await reading.rows(sql, **parameters)
        return {row["job_name"]: Sums.of(row) for row in rows}


def _total(parts: list[dict[str, Sums]], job_name: str | None) -> Sums:
    wanted = [sums for part in parts for name, sums in part.items() if job_name in {None, name}]
    return sum(wanted, start=Sums())


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 0.0
