"""The runs that want workers, oldest first."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from backstop_common.database import Transactions


@dataclass(frozen=True, slots=True)
class BeatActiveRuns:
    """Report that a worker is there for every active run, and learn which they are.

    A run that has been silent for too long is not taken up again: the watchdog closes it. A dry run is beaten for by
    the one worker that carries it.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions
    silent_after_seconds: float

    async def __call__(self) -> list[UUID]:
        """The ids of the active runs, in the order they started."""
        async with self.transactions.begin() as tx:
            rows = await tx.rows(
                "WITH active AS (SELECT id, started_at FROM cron_job_executions WHERE status = 'running'"
                " AND NOT dry_run AND deadline_at >= clock_timestamp()"
                " AND heartbeat_at >= clock_timestamp() - make_interval(secs => :silent_after)),"
                " beaten AS (UPDATE cron_job_executions SET heartbeat_at = clock_timestamp() WHERE id IN"
                " (SELECT id FROM cron_job_executions WHERE id IN (SELECT id FROM active)"
                " AND heartbeat_at < clock_timestamp() - interval '5 seconds' ORDER BY id FOR UPDATE SKIP LOCKED))"
                " SELECT id FROM active ORDER BY started_at, id",
                silent_after=self.silent_after_seconds,
            )
        return [row["id"] for row in rows]
