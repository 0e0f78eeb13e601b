"""Sum up all runs there ever were."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import RowMapping

from backstop_common.database import Transactions

_STATISTICS = """
    SELECT count(*) FILTER (WHERE status IN ('running', 'completed', 'failed')) AS executions,
        count(*) FILTER (WHERE status = 'completed') AS completed,
        count(*) FILTER (WHERE status = 'failed') AS failed,
        coalesce(avg(duration) FILTER (WHERE status IN ('completed', 'failed')), 0)::float AS duration,
        coalesce(sum((results ->> 'completed')::bigint), 0)::bigint AS tasks_recovered,
        coalesce(sum((results ->> 'failed')::bigint), 0)::bigint AS tasks_failed,
        coalesce(sum((results ->> 'errors')::bigint), 0)::bigint AS errors,
        coalesce(sum((results ->> 'totalFound')::bigint), 0)::bigint AS found
    FROM cron_job_executions
"""


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


@dataclass(frozen=True, slots=True)
class SummarizeRuns:
    """Reckoned by the database over every run of a job, or of all jobs; not over a page.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions

    async def __call__(self, job_name: str | None) -> Statistics:
        """The statistics of a job, or of all."""
        async with self.transactions.read() as reading:
            if job_name is None:
                row = await reading.row(_STATISTICS)
            else:
                row = await reading.row(f"{_STATISTICS} WHERE job_name = :job_name", job_name=job_name)
        if row is None:
            raise AssertionError("an aggregate always has a row")
        return _statistics(row)


def _statistics(row: RowMapping) -> Statistics:
    ended = row["completed"] + row["failed"]
    return Statistics(
        total_executions=row["executions"],
        success_rate=_percent(row["completed"], ended),
        avg_duration=round(row["duration"]),
        total_tasks_recovered=row["tasks_recovered"],
        total_tasks_failed=row["tasks_failed"],
        error_rate=_percent(row["errors"], row["found"]),
        has_ended=ended > 0,
        has_found=row["found"] > 0,
    )


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 0.0
