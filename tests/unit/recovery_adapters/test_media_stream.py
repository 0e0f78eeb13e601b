"""A file's stream stops when it must, and copies wait for their share of memory."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest

from backstop_common.errors import TransientError
from backstop_recovery.adapters.byte_budget import ByteBudget
from backstop_recovery.adapters.media_stream import BLOCK_BYTES, MediaStream, StreamLimits
from backstop_recovery.application.errors import OutputRefusedError

GENEROUS = StreamLimits(max_bytes=100 * BLOCK_BYTES, total_seconds=60)


async def chunks(*sizes: int) -> AsyncIterator[bytes]:
    for size in sizes:
        await asyncio.sleep(0)
        yield b"x" * size


async def drain(stream: MediaStream) -> list[int]:
    await stream.read_first()
    return [len(block) async for block in stream.blocks()]


async def test_small_chunks_are_joined_into_blocks() -> None:
    stream = MediaStream(chunks(*[300_000] * 10), limits=GENEROUS, expected_bytes=3_000_000)
    lengths = await drain(stream)
    assert all(length >= BLOCK_BYTES for length in lengths[:-1])
    assert sum(lengths) == stream.size_bytes == 3_000_000
    assert stream.sha256 == hashlib.sha256(b"x" * 3_000_000).hexdigest()


@pytest.mark.parametrize("announced", [99, 101])
async def test_another_length_than_announced_is_tried_again(announced: int) -> None:
    stream = MediaStream(chunks(50, 50), limits=GENEROUS, expected_bytes=announced)
    with pytest.raises(TransientError, match=f"ended after 100 of {announced} bytes"):
        await drain(stream)


async def test_one_byte_too_many_is_refused() -> None:
    limits = StreamLimits(max_bytes=99, total_seconds=60)
    with pytest.raises(OutputRefusedError, match="larger than 99 bytes"):
        await drain(MediaStream(chunks(50, 50), limits=limits, expected_bytes=None))


async def test_a_trickle_is_stopped_once_patience_is_over() -> None:
    limits = StreamLimits(max_bytes=10**9, total_seconds=60, min_rate_bytes=10**12, patience_seconds=0.0)
    with pytest.raises(TransientError, match="more slowly than"):
        await drain(MediaStream(chunks(50, 50), limits=limits, expected_bytes=None))


async def test_the_total_time_is_a_deadline() -> None:
    async def never() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    limits = StreamLimits(max_bytes=10, total_seconds=0.01)
    with pytest.raises(TransientError, match="did not arrive within"):
        await drain(MediaStream(never(), limits=limits, expected_bytes=None))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def hold(budget: ByteBudget, weight: int, log: list[int], release: asyncio.Event) -> None:
    async with budget.reserve(weight):
        log.append(weight)
        await release.wait()


async def test_what_does_not_fit_waits_and_is_not_overtaken() -> None:
    budget, release = ByteBudget(10), asyncio.Event()
    log: list[int] = []
    tasks = [asyncio.create_task(hold(budget, weight, log, release)) for weight in (6, 8, 2)]
    await settle()
    assert log == [6]
    release.set()
    await asyncio.gather(*tasks)
    assert log == [6, 8, 2]


async def test_more_than_the_whole_budget_waits_for_all_of_it() -> None:
    budget, release = ByteBudget(10), asyncio.Event()
    log: list[int] = []
    tasks = [asyncio.create_task(hold(budget, weight, log, release)) for weight in (1, 99)]
    await settle()
    assert log == [1]
    release.set()
    await asyncio.gather(*tasks)
    assert log == [1, 99]


async def test_a_cancelled_waiter_gives_its_place_away() -> None:
    budget, release = ByteBudget(10), asyncio.Event()
    log: list[int] = []
    first, cancelled, last = (asyncio.create_task(hold(budget, weight, log, release)) for weight in (6, 9, 4))
    await settle()
    cancelled.cancel()
    await settle()
    assert log == [6, 4]
    release.set()
    await asyncio.gather(first, last)


async def test_a_waiter_cancelled_in_the_moment_of_its_turn_returns_its_share() -> None:
    budget, release = ByteBudget(10), asyncio.Event()
    log: list[int] = []
    async with budget.reserve(10):
        waiter = asyncio.create_task(hold(budget, 10, log, release))
        await settle()
    # The share is the waiter's already, and it has not run yet.
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    async with asyncio.timeout(1), budget.reserve(10):
        assert log == []
