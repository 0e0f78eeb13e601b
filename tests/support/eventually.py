"""Waiting for something to become true, with a deadline instead of a sleep."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def eventually(probe: Callable[[], Awaitable[bool]], *, within_seconds: float = 15) -> None:
    """Ask again and again until the probe says yes; fail when it never does."""
    deadline = asyncio.get_running_loop().time() + within_seconds
    while not await probe():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"{probe.__name__} did not become true within {within_seconds:.0f} s")
        await asyncio.sleep(0.05)
