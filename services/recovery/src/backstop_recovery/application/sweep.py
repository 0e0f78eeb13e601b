"""The worker pool: claims stuck tasks, resolves them beside each other, settles them in groups, ends runs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from backstop_common.errors import TransientError
from backstop_recovery.application.beat_active_runs import BeatActiveRuns
from backstop_recovery.application.claim_tasks import ClaimTasks
from backstop_recovery.application.finish_run import FinishRun
from backstop_recovery.application.renew_leases import RenewLeases
from backstop_recovery.application.resolve_task import ResolveTask
from backstop_recovery.application.settle_in_groups import SettleInGroups
from backstop_recovery.domain.task import Task

_log = structlog.get_logger(__name__)

_LONGEST_TURN_SECONDS = 1.0
_GATHER_SECONDS = 0.01


@dataclass(slots=True)
class Sweep:
    """Works on all active runs, whoever started them: a restarted process carries on where the last one died.

    Messages only wake it, and a poll does too, so a lost doorbell costs seconds. One slow task holds one place of
    the pool, never the pool. Everything in flight keeps its lease through `renew_leases`.
    """

    claim_tasks: ClaimTasks
    resolve_task: ResolveTask
    settle: SettleInGroups
    finish_run: FinishRun
    beat_active_runs: BeatActiveRuns
    renew: RenewLeases
    concurrency: int
    batch_size: int
    _in_flight: dict[asyncio.Task[None], Task] = field(default_factory=dict)
    _requested: set[UUID] = field(default_factory=set)

    async def run_once(self) -> bool:
        """Fill the free places of the pool; True while there is work.

        1. Beat for the active runs.
        2. Claim as many tasks as there are free places (single requested ones first) and start them.
        3. Nothing claimed: end the runs that have nothing left, here or elsewhere.
        4. Wait for places, a second at most, so that the beat goes on however slow the tasks are.
        """
        runs = await self.beat_active_runs()
        claimed = await self._claim_requested()
        for run in runs:
            claimed += await self._claim(run)
        ended = False
        if claimed == 0:
            busy = {task.run_id for task in self._in_flight.values()}
            for run in runs:
                ended = (run not in busy and await self.finish_run.if_done(run)) or ended
        if not self._in_flight:
            return claimed > 0 or ended
        if claimed == 0 or len(self._in_flight) >= self.concurrency:
            await self._wait()
        return True

    def request(self, task_id: UUID) -> None:
        """Check this task next, outside any run."""
        self._requested.add(task_id)

    async def renew_leases(self) -> bool:
        """Keep what is in flight; always False (nothing more to do)."""
        await self.renew(list(self._in_flight.values()))
        return False

    async def drain(self) -> None:
        """Let what is in flight end for a few seconds; what does not is found again when its lease expires."""
        if not self._in_flight:
            return
        _, late = await asyncio.wait(self._in_flight, timeout=5.0)
        for worker in late:
            worker.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _claim_requested(self) -> int:
        count = 0
        while self._requested and len(self._in_flight) < self.concurrency:
            task_id = next(iter(self._requested))
            task = await self.claim_tasks.one(task_id)
            self._requested.discard(task_id)
            if task is not None:
                self._start(task)
                count += 1
        return count

    async def _claim(self, run: UUID) -> int:
        places = min(self.concurrency - len(self._in_flight), self.batch_size)
        if places <= 0:
            return 0
        tasks = await self.claim_tasks.for_run(run, limit=places)
        for task in tasks:
            self._start(task)
        return len(tasks)

    def _start(self, task: Task) -> None:
        worker = asyncio.create_task(self._work(task), name=f"task:{task.id}")
        self._in_flight[worker] = task
        worker.add_done_callback(lambda done: self._in_flight.pop(done, None))

    async def _work(self, task: Task) -> None:
        with structlog.contextvars.bound_contextvars(
            task_id=str(task.id), run_id=None if task.run_id is None else str(task.run_id), provider=task.provider
        ):
            try:
                resolution = await self.resolve_task(task)
                await self.settle.settle(resolution)
            except TransientError as error:
                _log.warning("task_left_to_its_lease", reason=str(error))
            except Exception:  # noqa: BLE001 - one task never stops the others; its lease expires and it is found again
                _log.exception("settlement_failed")

    async def _wait(self) -> None:
        """Until something has ended; in a full pool its neighbours get a moment to end too: claims come in batches."""
        await asyncio.wait(self._in_flight, timeout=_LONGEST_TURN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if len(self._in_flight) > self.concurrency * 3 // 4:
            await asyncio.wait(self._in_flight, timeout=_GATHER_SECONDS)
