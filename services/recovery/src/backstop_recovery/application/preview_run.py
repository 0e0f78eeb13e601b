"""Carry out one dry run: ask about every stuck task, write down what would become of it, change none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeVar
from uuid import UUID

import structlog

from backstop_common.database import Transactions
from backstop_common.errors import TransientError
from backstop_recovery.application.count_for_runs import count_for_runs
from backstop_recovery.application.finish_run import FinishRun
from backstop_recovery.application.list_due_tasks import START, ListDueTasks, Place
from backstop_recovery.application.record_previews import record_previews
from backstop_recovery.application.resolve_task import ResolveTask
from backstop_recovery.domain.blast_radius import BlastRadius
from backstop_recovery.domain.decision import Policy
from backstop_recovery.domain.ledger import Balance, settlement_of
from backstop_recovery.domain.preview import with_refusals
from backstop_recovery.domain.resolution import Resolution
from backstop_recovery.domain.task import Task

_log = structlog.get_logger(__name__)

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0

Result = TypeVar("Result")

_NOTE_LIMIT = """
    UPDATE cron_job_executions SET results = results || jsonb_build_object('blastRadius', jsonb_build_object(
        'limitPercent', CAST(:percent AS int), 'minFailed', CAST(:min_failed AS int),
        'wouldStop', coalesce((results #>> '{blastRadius,wouldStop}')::boolean, false) OR :exceeded,
        'isHeld', EXISTS (SELECT 1 FROM failure_holds WHERE lifted_at IS NULL)))
    WHERE id = :run
"""


@dataclass(frozen=True, slots=True)
class DryRun:
    """A dry run that this worker carries."""

    id: UUID
    horizon: datetime


@dataclass(frozen=True, slots=True)
class PreviewRun:
    """Nothing is claimed, copied, settled or told: all that is written are rows of `run_previews` and the run itself.

    1. List a page of the tasks due before the horizon.
    2. Ask about them beside each other, as many at once as there are `places` (shared by all dry runs of this process),
       by the same rules as any run; `resolve_task` has a store that fetches nothing.
    3. Leave out what was finished meanwhile, and hold what would be settled against the accounts as they are now.
    4. In one transaction, if the run is still active: the rows, the counts of the run, and whether a run would have
       stopped there to ask a person. Endings are told as if they were approved.
    5. After the last page the run is completed.

    A page whose database went away is tried again until it is back: what was written stays written once. Whoever
    closes the run (the watchdog, at its deadline) ends the work at the next page.
    """

    transactions: Transactions
    list_due_tasks: ListDueTasks
    resolve_task: ResolveTask
    policy: Policy
    limit: BlastRadius
    finish_run: FinishRun
    places: asyncio.Semaphore
    pause: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep)

    async def __call__(self, run: DryRun) -> None:
        """Until it is completed, or closed by somebody else."""
        place: Place | None = START
        position = 1
        while place is not None:
            page = await self._patiently(partial(self.list_due_tasks, run.id, run.horizon, place))
            resolutions = await asyncio.gather(*(self._resolve(task) for task in page.tasks))
            if resolutions and not await self._patiently(partial(self._record, run.id, resolutions, position)):
                return
            position += len(resolutions)
            place = page.next
        await self._patiently(partial(self.finish_run.as_previewed, run.id))

    async def _resolve(self, task: Task) -> Resolution:
        async with self.places:
            with structlog.contextvars.bound_contextvars(task_id=str(task.id), provider=task.provider):
                return await self.resolve_task(task)

    async def _record(self, run_id: UUID, resolutions: Sequence[Resolution], first_position: int) -> bool:
        """Write a page; False when the run is over."""
        foreseen = await self._foreseen(resolutions)
        async with self.transactions.begin() as tx:
            active = await tx.value(
                "SELECT 1 FROM cron_job_executions WHERE id = :run AND status = 'running' FOR UPDATE", run=run_id
            )
            if active is None:
                return False
            new = await record_previews(tx, run_id, foreseen, first_position=first_position)
            tally = (await count_for_runs(tx, new)).get(run_id)
            await tx.execute(
                _NOTE_LIMIT,
                run=run_id,
                percent=self.limit.percent,
                min_failed=self.limit.min_failed,
                exceeded=tally is not None and self.limit.is_exceeded_by(tally),
            )
        return True

    async def _foreseen(self, resolutions: Sequence[Resolution]) -> list[Resolution]:
        """What settling would make of them now. What another worker finished meanwhile is left out: in one snapshot,
        an open task still has the credits that its account holds for it.
        """
        users = sorted({resolution.task.user_id for resolution in resolutions if settlement_of(resolution)})
        async with self.transactions.read() as reading:
            rows = await reading.rows(
                "SELECT id FROM tasks WHERE id = ANY(:ids) AND status = 'processing'",
                ids=[resolution.task.id for resolution in resolutions],
            )
            accounts = await reading.rows(
                "SELECT user_id, balance, frozen_balance FROM credit_accounts WHERE user_id = ANY(:users)", users=users
            )
        still_open = {row["id"] for row in rows}
        balances = {row["user_id"]: Balance(row["balance"], row["frozen_balance"]) for row in accounts}
        left = [resolution for resolution in resolutions if resolution.task.id in still_open]
        return with_refusals(left, balances, self.policy)

    async def _patiently(self, step: Callable[[], Awaitable[Result]]) -> Result:
        """Try a step again while the database is away."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return await step()
            except TransientError as error:
                _log.warning("dry_run_waits", reason=str(error), pause_seconds=pause)
            await self.pause(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
