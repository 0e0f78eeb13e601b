"""A loop outlives its turns, goes again when told, and shows when it stands still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from prometheus_client import REGISTRY

from backstop_common.errors import TransientError
from backstop_common.loop import Loop
from tests.support.polling import eventually

_NEVER = 3600.0


@asynccontextmanager
async def _turning(loop: Loop) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(loop.run())
    try:
        yield task
    finally:
        loop.stop()
        await asyncio.wait_for(task, 5)


class Script:
    """Answers one after the other; an exception is raised. After the last, False."""

    def __init__(self, *answers: bool | BaseException) -> None:
        self.answers = list(answers)
        self.turns = 0

    async def __call__(self) -> bool:
        self.turns += 1
        answer = self.answers.pop(0) if self.answers else False
        if isinstance(answer, BaseException):
            raise answer
        return answer


def _turns_of(loop: str, result: str) -> float:
    return REGISTRY.get_sample_value("backstop_loop_turns_total", {"loop": loop, "result": result}) or 0.0


async def test_more_work_is_done_at_once_and_idleness_waits() -> None:
    script = Script(True, True, True, False)
    async with _turning(Loop("more", script, interval_seconds=_NEVER)) as task:
        await eventually(lambda: script.turns == 4)
        await asyncio.wait([task], timeout=0.05)
        assert script.turns == 4


@pytest.mark.parametrize("error", [TransientError("away"), ValueError("a mistake"), TimeoutError()])
async def test_an_exception_does_not_end_the_loop(error: Exception) -> None:
    script = Script(error, error, False)
    async with _turning(Loop("failing", script, interval_seconds=0.01)):
        await eventually(lambda: script.turns >= 4)


async def test_a_cancellation_by_a_driver_does_not_end_the_loop() -> None:
    script = Script(asyncio.CancelledError(), False)
    async with _turning(Loop("disconnected", script, interval_seconds=0.01)):
        await eventually(lambda: script.turns >= 2)


async def test_a_cancellation_by_a_driver_is_no_hot_loop() -> None:
    script = Script(*[asyncio.CancelledError()] * 100)
    async with _turning(Loop("still-disconnected", script, interval_seconds=_NEVER)) as task:
        await asyncio.wait([task], timeout=0.05)
        assert script.turns == 1


async def test_a_failing_turn_waits_for_the_interval_before_the_next() -> None:
    script = Script(*[ValueError("a mistake")] * 100)
    async with _turning(Loop("hot", script, interval_seconds=_NEVER)) as task:
        await asyncio.wait([task], timeout=0.05)
        assert script.turns == 1


async def test_turns_are_counted_by_how_they_ended() -> None:
    script = Script(TransientError("away"), ValueError("a mistake"), True, False)
    before = {result: _turns_of("counted", result) for result in ("transient_error", "error", "worked", "idle")}
    loop = Loop("counted", script, interval_seconds=0.01)
    async with _turning(loop):
        await eventually(lambda: script.turns >= 4)
    counted = {
        result: _turns_of("counted", result) - before[result] for result in ("transient_error", "error", "worked")
    }
    assert counted == {"transient_error": 1, "error": 1, "worked": 1}
    assert _turns_of("counted", "idle") >= 1


async def test_waking_ends_the_pause() -> None:
    script = Script()
    loop = Loop("woken", script, interval_seconds=_NEVER)
    async with _turning(loop):
        await eventually(lambda: script.turns == 1)
        loop.wake()
        await eventually(lambda: script.turns == 2)


async def test_a_wake_during_a_turn_is_not_lost() -> None:
    turns = 0

    async def ring_in_the_first_turn() -> bool:
        nonlocal turns
        turns += 1
        if turns == 1:
            loop.wake()
        return False

    loop = Loop("rung", ring_in_the_first_turn, interval_seconds=_NEVER)
    async with _turning(loop):
        await eventually(lambda: turns == 2)


async def test_stopping_lets_the_turn_end() -> None:
    started, release, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow() -> bool:
        started.set()
        await release.wait()
        ended.set()
        return True

    loop = Loop("stopping", slow, interval_seconds=_NEVER)
    task = asyncio.create_task(loop.run())
    await asyncio.wait_for(started.wait(), 5)
    loop.stop()
    await asyncio.wait([task], timeout=0.02)
    assert not task.done()
    release.set()
    await asyncio.wait_for(task, 5)
    assert ended.is_set()


async def test_stopping_ends_the_pause() -> None:
    loop = Loop("paused", Script(), interval_seconds=_NEVER)
    async with _turning(loop) as task:
        await asyncio.wait([task], timeout=0.02)
        loop.stop()
        await asyncio.wait_for(task, 1)


async def test_cancelling_ends_the_loop_in_the_middle_of_a_turn() -> None:
    started = asyncio.Event()

    async def for_ever() -> bool:
        started.set()
        await asyncio.Event().wait()
        return True

    task = asyncio.create_task(Loop("cancelled", for_ever, interval_seconds=1).run())
    await asyncio.wait_for(started.wait(), 5)
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert task.cancelled()


def _stalled() -> Callable[[], Awaitable[bool]]:
    async def stalled() -> bool:
        await asyncio.Event().wait()
        return True

    return stalled


async def test_a_stalled_turn_makes_the_loop_silent() -> None:
    loop = Loop("stalled", _stalled(), interval_seconds=0.01, silent_after_seconds=0.05)
    task = asyncio.create_task(loop.run())
    try:
        await eventually(lambda: loop.is_silent)
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=5)


async def test_a_loop_that_turns_is_not_silent_even_when_every_turn_fails() -> None:
    script = Script(*[ValueError("a mistake")] * 1000)
    loop = Loop("noisy", script, interval_seconds=0.01, silent_after_seconds=1.0)
    async with _turning(loop):
        await eventually(lambda: script.turns > 5)
        assert not loop.is_silent


async def test_a_pause_longer_than_the_silence_is_not_silence() -> None:
    loop = Loop("patient", Script(), interval_seconds=_NEVER, silent_after_seconds=0.02)
    async with _turning(loop) as task:
        await asyncio.wait([task], timeout=0.1)
        assert not loop.is_silent


async def test_a_loop_that_was_never_started_is_not_silent() -> None:
    assert not Loop("unborn", Script(), interval_seconds=1, silent_after_seconds=0).is_silent
