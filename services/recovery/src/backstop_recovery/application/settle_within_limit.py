"""Settle a group, or stop its run: no run fails more than the blast radius without a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from backstop_common.database import Transaction, Transactions
from backstop_common.ids import hold_id
from backstop_recovery.application.finish_run import FinishRun, tell_finished
from backstop_recovery.application.settle_tasks import Settled, SettleTasks
from backstop_recovery.application.withhold_failures import BlastRadiusExceededError, with_approvals, withheld
from backstop_recovery.domain.blast_radius import stop_sentence
from backstop_recovery.domain.resolution import Resolution

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SettleWithinLimit:
    """The failure that is one too many takes its whole group back; then, in one transaction:

    1. Settle the group again with its failures withheld: they stay open, nothing moves, nobody is told.
    2. Open the hold of the run's job. Until a person lifts it, every failure is withheld (see `SettleTasks`).
    3. Close the run as failed, with the numbers and what to do.

    Somebody else may have stopped the run in between: then its hold stands and the group is withheld all the same.

    Raises:
        LedgerError: an account cannot bear an entry; the whole group is rolled back.
        TransientError: the database is away, or this transaction lost against another one.
    """

    transactions: Transactions
    settle_tasks: SettleTasks
    finish_run: FinishRun

    async def __call__(self, resolutions: Sequence[Resolution]) -> Settled:
        """All of the group, or nothing."""
        try:
            return await self.settle_tasks(resolutions)
        except BlastRadiusExceededError as exceeded:
            return await self._stop(resolutions, exceeded)

    async def _stop(self, resolutions: Sequence[Resolution], exceeded: BlastRadiusExceededError) -> Settled:
        limit = self.settle_tasks.limit
        async with self.transactions.begin() as tx:
            group, _ = await with_approvals(tx, resolutions)
            settled, _ = await self.settle_tasks.within(tx, withheld(group, limit))
            job_name = await self._hold(tx, exceeded)
            reason = stop_sentence(exceeded.tally, limit.percent, job_name)
            finished = await self.finish_run.stop(tx, exceeded.run_id, reason=reason)
        if finished is not None:
            tell_finished(finished)
            _log.error("failures_held", run_id=str(exceeded.run_id), job=job_name, reason=reason)
        return settled

    async def _hold(self, tx: Transaction, exceeded: BlastRadiusExceededError) -> str:
        """Open the hold, unless the job has one, or this run had one already; the name of the job."""
        job_name: str = await tx.value("SELECT job_name FROM cron_job_executions WHERE id = :run", run=exceeded.run_id)
        await tx.execute(
            "INSERT INTO failure_holds (id, job_name, run_id, failed_count, checked_count, limit_percent)"
            " VALUES (:id, :job, :run, :failed, :checked, :percent) ON CONFLICT DO NOTHING",
            id=hold_id(exceeded.run_id),
            job=job_name,
            run=exceeded.run_id,
            failed=exceeded.tally.failed,
            checked=exceeded.tally.checked,
            percent=self.settle_tasks.limit.percent,
        )
        return job_name
