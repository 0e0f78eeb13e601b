"""Background loops, all of one shape: `run_once() -> bool`, where True means "more work: go again at once".

An exception is logged and counted and the loop goes on after its interval; it never ends a service. Each turn leaves
a mark, and a loop without a mark for too long makes the liveness probe fail.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from backstop_common.errors import TransientError
from backstop_common.observability.metrics import LOOP_TURNS

_log = structlog.get_logger(__name__)

_MOST_JITTER = 1.2


class Loop:
    """Runs one function again and again until it is stopped."""

    def __init__(
        self,
        name: str,
        run_once: Callable[[], Awaitable[bool]],
        *,
        interval_seconds: float,
        silent_after_seconds: float = 120.0,
    ) -> None:
        self.name = name
        self._run_once = run_once
        self._interval = interval_seconds
        self._silent_after = silent_after_seconds
        self._woken = asyncio.Event()
        self._stopping = False
        self._last_turn: float | None = None

    def wake(self) -> None:
        """Go again now instead of after the interval."""
        self._woken.set()

    def stop(self) -> None:
        """End after the current turn."""
        self._stopping = True
        self._woken.set()

    @property
    def is_silent(self) -> bool:
        """Whether the loop has not completed a turn for longer than it should ever take."""
        if self._last_turn is None:
            return False
        longest_silence = self._silent_after + self._interval * _MOST_JITTER
        return asyncio.get_running_loop().time() - self._last_turn > longest_silence

    async def run(self) -> None:
        """Turn until `stop()`; cancelling ends it in the middle of a turn."""
        self._mark()
        while not self._stopping:
            self._woken.clear()
            more = await self._turn()
            self._mark()
            if not more and not self._stopping:
                await self._pause()

    def _mark(self) -> None:
        self._last_turn = asyncio.get_running_loop().time()

    async def _turn(self) -> bool:
        try:
            more = await self._run_once()
        except TransientError as error:
            LOOP_TURNS.labels(loop=self.name, result="transient_error").inc()
            _log.warning("loop_waits", loop=self.name, reason=str(error))
            return False
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling() > 0:
                raise
            # A driver whose connection died raises CancelledError although nobody cancelled us.
            LOOP_TURNS.labels(loop=self.name, result="transient_error").inc()
            _log.warning("loop_waits", loop=self.name, reason="a connection was lost")
            return False
        except Exception:  # noqa: BLE001 - logged and counted; a loop outlives whatever one turn raises
            LOOP_TURNS.labels(loop=self.name, result="error").inc()
            _log.exception("loop_failed", loop=self.name)
            return False
        LOOP_TURNS.labels(loop=self.name, result="worked" if more else "idle").inc()
        return more

    async def _pause(self) -> None:
        jittered = self._interval * random.uniform(2 - _MOST_JITTER, _MOST_JITTER)  # noqa: S311 - jitter, not a secret
        try:
            async with asyncio.timeout(jittered):
                await self._woken.wait()
        except TimeoutError:
            return
