"""Close runs that nobody carries any more."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from backstop_common.database import Transactions
from backstop_recovery.application.finish_run import FinishRun


@dataclass(frozen=True, slots=True)
class WatchRuns:
    """Every live worker beats for the active runs; a run without a beat for too long has lost them all.

    1. Find running runs past their deadline, or without a heartbeat for `silent_after_seconds`.
    2. Close each as failed, with the reason. Their tasks are free for the next run as soon as the leases expire.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions
    finish_run: FinishRun
    silent_after_seconds: float

    async def __call__(self) -> bool:
        """Always False: there is nothing more to do at once."""
        for run_id, reason in await self._lost():
            await self.finish_run.as_failed(run_id, reason=reason)
        return False

    async def _lost(self) -> list[tuple[UUID, str]]:
        async with self.transactions.read() as reading:
            rows = await reading.rows(
                "SELECT id, deadline_at < clock_timestamp() AS late,"
                " extract(epoch FROM clock_timestamp() - heartbeat_at)::int AS silent_for FROM cron_job_executions"
                " WHERE status = 'running' AND (deadline_at < clock_timestamp()"
                " OR heartbeat_at < clock_timestamp() - make_interval(secs => :silent_after)) ORDER BY started_at",
                silent_after=self.silent_after_seconds,
            )
        return [
            (
                row["id"],
                "the run passed its deadline"
                if row["late"] and row["silent_for"] < self.silent_after_seconds
                else f"no worker has reported for {row['silent_for']} s: the worker of this run died",
            )
            for row in rows
        ]
