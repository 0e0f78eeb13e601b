"""The worker pool: claims stuck tasks, resolves them beside each other, settles them in groups, ends runs."""

from __future__ import annotations

import asyncio
import contextlib
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
from backstop_recovery.domain.places import Places
from backstop_recovery.domain.task import Task
from backstop_recovery.domain.walk import Walk

_log = structlog.get_logger(__name__)

_LONGEST_TURN_SECONDS = 1.0
_GATHER_SECONDS = 0.005
_SPARE_PLACES = 400


@dataclass(slots=True)
class Sweep:
    """Works on all active runs, whoever started them: a restarted process carries on where the last one died.

    Messages only wake it, and a poll does too, so a lost doorbell costs seconds. One slow task holds one place of
    the pool, never the pool; one slow provider holds its share. Everything held keeps its lease through
    `renew_leases`.
    """

    claim_tasks: ClaimTasks
    resolve_task: ResolveTask
    settle: SettleInGroups
    finish_run: FinishRun
    beat_active_runs: BeatActiveRuns
    renew: RenewLeases
    concurrency: int
    batch_size: int
    places: Places = field(default_factory=Places)
    _walks: dict[UUID, Walk] = field(default_factory=dict)
    _held: dict[asyncio.Task[None], Task] = field(default_factory=dict)
    _freed: asyncio.Event = field(default_factory=asyncio.Event)
    _requested: set[UUID] = field(default_factory=set)

    async def run_once(self) -> bool:
        """Fill the free places of the pool; True while there is work.

        1. Beat for the active runs.
        2. Claim as many tasks as there are free places (single requested ones first) and start them.
        3. Nothing claimed: end the runs that have nothing left, here or elsewhere.
        4. Wait for places, a second at most, so that the beat goes on however slow the tasks are.
        """
        self._freed.clear()
        runs = await self.beat_active_runs()
        self._walks = {run: self._walks.get(run, Walk()) for run in runs}
        claimed = await self._claim_requested()
        for run in runs:
            claimed += await self._claim(run)
        ended = False
        if claimed == 0:
            busy = {task.run_id for task in self._held.values()}
            for run in runs:
                ended = (run not in busy and await self.finish_run.if_done(run)) or ended
        if not self._held:
            return claimed > 0 or ended
        if claimed == 0 or self._free() <= 0:
            await self._wait()
        return True

    def request(self, task_id: UUID) -> None:
        """Check this task next, outside any run."""
        self._requested.add(task_id)

    async def renew_leases(self) -> bool:
        """Keep what is held, settled or not; always False (nothing more to do)."""
        await self.renew(list(self._held.values()))
        return False

    async def drain(self) -> None:
        """Let what is held end for a few seconds; what does not is found again when its lease expires."""
        if not self._held:
            return
        _, late = await asyncio.wait(self._held, timeout=5.0)
        for worker in late:
            worker.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _free(self) -> int:
        """A task has its place while it is resolved; what only waits to be settled has spare ones."""
        return min(self.concurrency - self.places.taken, self.concurrency + _SPARE_PLACES - len(self._held))

    async def _claim_requested(self) -> int:
        """What a worker holds is tried again at the next turn: the wish may have come after the provider's answer. So
        is a task whose provider has no room: waiting for its turn would fill the pool.
        """
        if not self._requested or self._free() <= 0:
            return 0
        asked_for = tuple(self._requested)
        open_still = await self.claim_tasks.open_among(asked_for)
        self._requested -= set(asked_for) - open_still.keys()
        count = 0
        for task_id, provider in open_still.items():
            if self._free() <= 0:
                break
            if self.places.room(provider, self.places.held[provider]).more <= 0:
                continue
            task = await self.claim_tasks.one(task_id)
            if task is not None:
                self._requested.discard(task_id)
                self._start(task)
                count += 1
        return count

    async def _claim(self, run: UUID) -> int:
        limit = min(self._free(), self.batch_size)
        if limit <= 0:
            return 0
        claim = await self.claim_tasks.next_of_run(run, self._walks[run], self.places, limit=limit)
        self._walks[run] = claim.walk
        for task in claim.tasks:
            self._start(task)
        return len(claim.tasks)

    def _start(self, task: Task) -> None:
        self.places.take(task.provider)
        worker = asyncio.create_task(self._work(task), name=f"task:{task.id}")
        self._held[worker] = task
        worker.add_done_callback(self._over)

    def _over(self, worker: asyncio.Task[None]) -> None:
        self._held.pop(worker, None)
        self._freed.set()

    async def _work(self, task: Task) -> None:
        with structlog.contextvars.bound_contextvars(
            task_id=str(task.id), run_id=None if task.run_id is None else str(task.run_id), provider=task.provider
        ):
            try:
                try:
                    resolution = await self.resolve_task(task)
                finally:
                    self.places.leave(task.provider)
                    self._freed.set()
                await self.settle.settle(resolution)
            except TransientError as error:
                _log.warning("task_left_to_its_lease", reason=str(error))
            except Exception:  # noqa: BLE001 - one task never stops the others; its lease expires and it is found again
                _log.exception("settlement_failed")

    async def _wait(self) -> None:
        """Until a place is free or a task is over, and a moment longer: claims come in batches."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._freed.wait(), _LONGEST_TURN_SECONDS)
        if self._free() < self.concurrency // 4:
            await asyncio.sleep(_GATHER_SECONDS)
