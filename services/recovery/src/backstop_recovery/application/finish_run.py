"""End a run: because nothing is left for it, or because it cannot go on."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy import RowMapping

from backstop_common.contracts import RunFinished, RunResults
from backstop_common.database import Transaction, Transactions
from backstop_common.ids import event_id
from backstop_recovery.application.metrics import observe_run

_log = structlog.get_logger(__name__)

_OPEN = """
    SELECT EXISTS (SELECT 1 FROM tasks WHERE status = 'processing' AND next_check_at <= :horizon)
"""


@dataclass(frozen=True, slots=True)
class FinishRun:
    """Decide under a lock on the run's row, so that exactly one worker ends it, whichever settles last.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions

    async def if_done(self, run_id: UUID) -> bool:
        """Complete the run when no task due before its horizon is open, leased or not.

        1. Lock the run's row; somebody else may have ended it already.
        2. In a statement of its own (its snapshot is newer than the lock): is anything left?
        3. If not: completed, with `run.finished` in the same transaction.

        A dry run leaves everything open, so only whoever carries it knows when it is over.
        """
        async with self.transactions.begin() as tx:
            run = await _locked(tx, run_id)
            if run is None or run["dry_run"] or await tx.value(_OPEN, horizon=run["horizon_at"]):
                return False
            finished = await self._end(tx, run_id, status="completed", error_message=None)
        tell_finished(finished)
        return True

    async def as_previewed(self, run_id: UUID) -> bool:
        """Complete a dry run that has asked about everything."""
        async with self.transactions.begin() as tx:
            if await _locked(tx, run_id) is None:
                return False
            finished = await self._end(tx, run_id, status="completed", error_message=None)
        tell_finished(finished)
        return True

    async def as_failed(self, run_id: UUID, *, reason: str) -> bool:
        """Close the run as failed; its open tasks stay open and belong to the next run."""
        async with self.transactions.begin() as tx:
            finished = await self.stop(tx, run_id, reason=reason)
        if finished is not None:
            tell_finished(finished)
        return finished is not None

    async def stop(self, tx: Transaction, run_id: UUID, *, reason: str) -> RunFinished | None:
        """Close the run as failed in a transaction of the caller's, who calls `tell_finished` after the commit."""
        if await _locked(tx, run_id) is None:
            return None
        return await self._end(tx, run_id, status="failed", error_message=reason)

    async def _end(self, tx: Transaction, run_id: UUID, *, status: str, error_message: str | None) -> RunFinished:
        row = await tx.row(
            "UPDATE cron_job_executions SET status = :status, error_message = :error, completed_at = t.now,"
            " heartbeat_at = t.now, duration = greatest(0, round(extract(epoch FROM t.now - started_at) * 1000))"
            " FROM (SELECT clock_timestamp() AS now) t WHERE id = :run RETURNING cron_job_executions.*",
            run=run_id,
            status=status,
            error=error_message,
        )
        if row is None:
            raise AssertionError(f"run {run_id} vanished under its lock")
        message = _message(row)
        await tx.publish(message, event_id=event_id(RunFinished.type, run_id), correlation_id=run_id)
        return message


def tell_finished(message: RunFinished) -> None:
    """Count and log a run whose end is committed."""
    observe_run(message)
    _log.info(
        "run_finished",
        run_id=str(message.run_id),
        status=message.status,
        duration_ms=message.duration_ms,
        error=message.error_message,
        dry_run=message.dry_run,
        degraded_providers=message.degraded_providers,
        **message.results.model_dump(),
    )


async def _locked(tx: Transaction, run_id: UUID) -> RowMapping | None:
    """The run's row, locked; None when it is over."""
    return await tx.row(
        "SELECT horizon_at, dry_run FROM cron_job_executions WHERE id = :run AND status = 'running' FOR UPDATE",
        run=run_id,
    )


def _message(row: RowMapping) -> RunFinished:
    results = row["results"]
    return RunFinished(
        run_id=row["id"],
        job_name=row["job_name"],
        status=row["status"],
        trigger=row["trigger"],
        actor=row["actor"],
        scheduled_for=row["scheduled_for"],
        started_at=row["started_at"],
        completed_at=row["completed_at"],
        duration_ms=row["duration"],
        results=RunResults(
            completed=results["completed"],
            failed=results["failed"],
            still_processing=results["stillProcessing"],
            errors=results["errors"],
            total_found=results["totalFound"],
        ),
        error_message=row["error_message"],
        degraded_providers=tuple(row["degraded_providers"]),
        dry_run=row["dry_run"],
    )
