"""Collect resolutions into groups and settle each group at once; one bad task does not hold the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import DBAPIError

from backstop_common.database.refusals import refusal
from backstop_common.errors import TransientError
from backstop_recovery.application.metrics import observe_group
from backstop_recovery.application.settle_tasks import Settled
from backstop_recovery.domain.decision import Policy, Trouble, needs_attention
from backstop_recovery.domain.resolution import Errored, Resolution

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    resolution: Resolution
    done: asyncio.Future[None]


class SettleInGroups:
    """`settle()` returns when the resolution is committed (or was found to be lost, or its lease has to expire).

    A group is flushed when it has `group_size` resolutions or its first one has waited `longest_wait_seconds`. When a
    group is refused, its resolutions are settled one by one; the one that is refused alone becomes an error of ours,
    counted on the task. When the database is away, the group is tried again while the leases last; after that the
    tasks are somebody else's, and nothing has happened to them.
    """

    def __init__(
        self,
        settle_tasks: Callable[[Sequence[Resolution]], Awaitable[Settled]],
        policy: Policy,
        *,
        group_size: int = 100,
        longest_wait_seconds: float = 0.02,
        patience_seconds: float = 30.0,
    ) -> None:
        self._settle_tasks = settle_tasks
        self._policy = policy
        self._group_size = group_size
        self._longest_wait = longest_wait_seconds
        self._patience = patience_seconds
        self._waiting: list[_Waiting] = []
        self._timer: asyncio.TimerHandle | None = None
        self._flushes: set[asyncio.Task[None]] = set()

    async def settle(self, resolution: Resolution) -> None:
        """Settle one resolution together with its neighbours.

        Raises:
            TransientError: the database stayed away; the task keeps its lease until that expires.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(resolution, loop.create_future())
        self._waiting.append(waiting)
        if len(self._waiting) >= self._group_size:
            self._flush()
        elif self._timer is None:
            self._timer = loop.call_later(self._longest_wait, self._flush)
        await waiting.done

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        group, self._waiting = self._waiting, []
        if group:
            flush = asyncio.create_task(self._commit(group), name="settle-group")
            self._flushes.add(flush)
            flush.add_done_callback(self._flushes.discard)

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        """Settle a group and tell everyone who waits for it; never raises but when this task itself is cancelled."""
        try:
            settled = await self._patiently([waiting.resolution for waiting in group])
        except TransientError as error:
            _tell(group, error)
        except asyncio.CancelledError:
            _tell(group, TransientError("the group was cancelled before it was settled"))
            task = asyncio.current_task()
            if task is not None and task.cancelling() > 0:
                raise
        except Exception as error:  # noqa: BLE001 - a refusal: whose it is shows when they are settled one by one
            await self._one_by_one(group, error)
        else:
            observe_group(settled)
            _tell(group, None)

    async def _one_by_one(self, group: Sequence[_Waiting], error: Exception) -> None:
        if len(group) > 1:
            _log.warning("group_refused", size=len(group), error=_sentence(error))
            for waiting in group:
                await self._commit([waiting])
            return
        (waiting,) = group
        resolution = waiting.resolution
        _log.error("settlement_refused", task_id=str(resolution.task.id), error=_sentence(error))
        if isinstance(resolution, Errored):
            _tell(group, error)
        else:
            await self._commit([_Waiting(self._refused(resolution, error), waiting.done)])

    def _refused(self, resolution: Resolution, error: Exception) -> Errored:
        """The same task as an error of ours: it is tried again, and after some tries a person has to look."""
        trouble = Trouble(self._policy.longest_recheck_seconds, "settlement_refused", _sentence(error), own=True)
        return Errored(
            resolution.task,
            resolution.verdict,
            trouble.recheck_seconds,
            trouble.code,
            trouble.message,
            own=True,
            needs_attention=needs_attention(resolution.task, trouble, self._policy),
        )

    async def _patiently(self, resolutions: Sequence[Resolution]) -> Settled:
        """Try again while the database is away: guards and unique keys make a second try harmless."""
        give_up_at = asyncio.get_running_loop().time() + self._patience
        pause = 0.1
        while True:
            try:
                return await self._settle_tasks(resolutions)
            except TransientError as error:
                if asyncio.get_running_loop().time() + pause > give_up_at:
                    raise
                _log.warning("settlement_waits", size=len(resolutions), reason=str(error), pause_seconds=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)


def _tell(group: Sequence[_Waiting], error: Exception | None) -> None:
    for waiting in group:
        if waiting.done.done():
            continue
        if error is None:
            waiting.done.set_result(None)
        else:
            waiting.done.set_exception(error)


def _sentence(error: Exception) -> str:
    """What refused us, without the values of the row that a database quotes."""
    return refusal(error) if isinstance(error, DBAPIError) else f"{type(error).__name__}: {error}"
