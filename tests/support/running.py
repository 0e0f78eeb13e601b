"""Background loops for the length of a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from backstop_common.loop import Loop


@asynccontextmanager
async def turning(loops: Sequence[Loop]) -> AsyncIterator[None]:
    """Turn the loops until the block is left."""
    tasks = [asyncio.create_task(loop.run()) for loop in loops]
    try:
        yield
    finally:
        for loop in loops:
            loop.stop()
        await asyncio.gather(*tasks)
