"""Wait until a run is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import structlog

from backstop_admin_api.application.read_run import ReadRun
from backstop_admin_api.application.run import Run
from backstop_common.errors import TransientError

_log = structlog.get_logger(__name__)

_POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class WaitForRun:
    """Look again and again until the run is over, the time is up, or nobody wants to know any more.

    The run itself does not depend on it: a database that is away for a moment is waited for like the run.
    """

    read_run: ReadRun

    async def __call__(
        self, run_id: UUID, *, seconds: float, is_wanted: Callable[[], Awaitable[bool]], started: bool = False
    ) -> Run | None:
        """The run when it is over (with `started`: when it is there at all), else None."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            run = await self._look(run_id)
            if run is not None and (started or run.is_over):
                return run
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0 or not await is_wanted():
                return None
            await asyncio.sleep(min(_POLL_SECONDS, left))

    async def _look(self, run_id: UUID) -> Run | None:
        try:
            return await self.read_run(run_id)
        except TransientError as error:
            _log.warning("wait_interrupted", run_id=str(run_id), reason=str(error))
            return None
