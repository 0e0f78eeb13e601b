"""Waiting for something that will become true, with a deadline instead of a sleep."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(probe: Callable[[], T | Awaitable[T]], *, within: float = 10.0, what: str = "") -> T:
    """The first true answer of `probe`; AssertionError with the last answer when none comes in time."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        answer = probe()
        value: T = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"{what or 'it'} did not become true within {within} s; last answer: {value!r}")
        await asyncio.sleep(0.02)
