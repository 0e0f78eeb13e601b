"""The dry runs of this worker: each is carried by one worker, from its first question to its end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError

from backstop_common.database import Transactions
from backstop_common.database.refusals import refusal
from backstop_common.errors import TransientError
from backstop_recovery.application.finish_run import FinishRun
from backstop_recovery.application.preview_run import DryRun, PreviewRun

_log = structlog.get_logger(__name__)

_LONGEST_TURN_SECONDS = 1.0
_LONGEST_FAREWELL_SECONDS = 2.0

# A run is born with its heartbeat at its start; whoever moves it first carries the run, and nobody else beats for it.
_TAKE = """
    UPDATE cron_job_executions SET heartbeat_at = greatest(clock_timestamp(), started_at + interval '1 microsecond')
    WHERE id = (
        SELECT id FROM cron_job_executions
        WHERE status = 'running' AND dry_run AND heartbeat_at = started_at AND deadline_at >= clock_timestamp()
        AND heartbeat_at >= clock_timestamp() - make_interval(secs => :silent_after)
        ORDER BY started_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING id, horizon_at
"""
_BEAT = """
    UPDATE cron_job_executions SET heartbeat_at = clock_timestamp()
    WHERE id = ANY(:runs) AND status = 'running' AND heartbeat_at < clock_timestamp() - interval '5 seconds'
"""


@dataclass(slots=True)
class CarryDryRuns:
    """Takes new dry runs and beats for its own.

    When this worker dies, nobody beats for its dry runs any more, and the watchdog closes them as failed; nobody takes
    them up again, for nothing is lost but the answers. A worker that stops in order closes them itself.
    """

    transactions: Transactions
    preview_run: PreviewRun
    finish_run: FinishRun
    silent_after_seconds: float
    _carried: dict[UUID, asyncio.Task[None]] = field(default_factory=dict)

    async def run_once(self) -> bool:
        """Take what is new, beat, and wait a second at most, so that the beat goes on; True while there is work.

        Raises:
            TransientError: the database is away; what is carried waits for it by itself.
        """
        await self._take()
        if not self._carried:
            return False
        async with self.transactions.begin() as tx:
            await tx.execute(_BEAT, runs=list(self._carried))
        workers = list(self._carried.values())
        if workers:
            await asyncio.wait(workers, timeout=_LONGEST_TURN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        return True

    async def drain(self) -> None:
        """Stop asking, and say in the history that we did."""
        carried = dict(self._carried)
        for worker in carried.values():
            worker.cancel()
        await asyncio.gather(*carried.values(), return_exceptions=True)
        for run_id in carried:
            await self._close(run_id, "recovery was stopped before the dry run was over")

    async def _close(self, run_id: UUID, reason: str) -> None:
        try:
            async with asyncio.timeout(_LONGEST_FAREWELL_SECONDS):
                await self.finish_run.as_failed(run_id, reason=reason)
        except (TransientError, TimeoutError) as error:
            _log.warning("dry_run_left_to_the_watchdog", run_id=str(run_id), reason=str(error))

    async def _take(self) -> None:
        async with self.transactions.begin() as tx:
            row = await tx.row(_TAKE, silent_after=self.silent_after_seconds)
        if row is None:
            return
        worker = asyncio.create_task(self._carry(DryRun(row["id"], row["horizon_at"])), name=f"dry-run:{row['id']}")
        self._carried[row["id"]] = worker
        worker.add_done_callback(lambda _: self._carried.pop(row["id"], None))

    async def _carry(self, run: DryRun) -> None:
        with structlog.contextvars.bound_contextvars(run_id=str(run.id), dry_run=True):
            try:
                await self.preview_run(run)
            except Exception as error:  # noqa: BLE001 - logged, and the reason of the run's failure
                _log.exception("dry_run_failed")
                await self._close(run.id, _sentence(error))


def _sentence(error: Exception) -> str:
    return refusal(error) if isinstance(error, DBAPIError) else f"{type(error).__name__}: {error}"
