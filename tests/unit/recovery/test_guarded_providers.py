"""An outage costs a few questions, never one per task, and never more at once than agreed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from backstop_recovery.adapters.guarded_providers import GuardedProviders
from backstop_recovery.application.ports import Reference
from backstop_recovery.domain.pace import Limit, Pace
from backstop_recovery.domain.places import Room
from backstop_recovery.domain.provider_health import HealthPolicy
from backstop_recovery.domain.verdict import StillRunning, Unknown, UnknownReason, Verdict

RUNNING = StillRunning(queued=False, state="processing")
DOWN = Unknown(UnknownReason.UNREACHABLE, "refused")


@dataclass(slots=True)
class Outside:
    """Providers that answer as told, and count."""

    answer: Verdict = RUNNING
    asked: int = 0
    last: str = ""
    at_once: int = 0
    most_at_once: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def check(self, reference: Reference) -> Verdict:
        self.asked += 1
        self.last = reference.id
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.gate.wait()
        self.at_once -= 1
        return self.answer


@dataclass(slots=True)
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def _guarded(outside: Outside, clock: Clock, concurrency: int = 4, **limits: Limit) -> GuardedProviders:
    return GuardedProviders(outside, concurrency, HealthPolicy(failures_to_open=5), clock, limits)


async def _ask(guarded: GuardedProviders, count: int, provider: str = "fal") -> list[Verdict]:
    return await asyncio.gather(*(guarded.check(Reference(provider, str(n), {})) for n in range(count)))


async def test_no_more_questions_at_once_than_agreed() -> None:
    outside = Outside()
    asking = asyncio.create_task(_ask(_guarded(outside, Clock()), 20))
    await asyncio.wait([asking], timeout=0.05)
    outside.gate.set()
    await asking
    assert (outside.asked, outside.most_at_once) == (20, 4)


async def test_an_outage_costs_a_few_questions() -> None:
    outside = Outside(DOWN)
    outside.gate.set()
    answers = await _ask(_guarded(outside, Clock()), 500)
    assert outside.asked < 10
    held = [answer for answer in answers if isinstance(answer, Unknown) and answer.reason == "provider_down"]
    assert len(held) == 500 - 4
    assert sum(answer.retry_after_seconds is not None for answer in held) == 500 - outside.asked


async def test_one_question_goes_out_when_the_pause_is_over_and_its_answer_decides() -> None:
    outside, clock = Outside(DOWN), Clock()
    outside.gate.set()
    guarded = _guarded(outside, clock)
    await _ask(guarded, 50)
    before = outside.asked
    clock.now = 31
    outside.gate.clear()
    asking = asyncio.create_task(_ask(guarded, 50))
    await asyncio.wait([asking], timeout=0.05)
    assert outside.asked == before + 1
    outside.answer = RUNNING
    outside.gate.set()
    await asking
    assert await _ask(guarded, 3) == [RUNNING] * 3


async def test_a_provider_that_is_down_holds_nobody_elses_questions() -> None:
    outside = Outside(DOWN)
    outside.gate.set()
    guarded = _guarded(outside, Clock())
    await _ask(guarded, 50, "fal")
    outside.answer = RUNNING
    assert await _ask(guarded, 3, "kie") == [RUNNING] * 3


async def test_a_question_that_is_cancelled_does_not_close_the_provider_for_ever() -> None:
    outside, clock = Outside(DOWN), Clock()
    outside.gate.set()
    guarded = _guarded(outside, clock)
    await _ask(guarded, 10)
    clock.now = 31
    outside.gate.clear()
    probe = asyncio.create_task(guarded.check(Reference("fal", "x", {})))
    await asyncio.wait([probe], timeout=0.05)
    probe.cancel()
    await asyncio.wait([probe])
    outside.gate.set()
    outside.answer = RUNNING
    assert await _ask(guarded, 1) == [RUNNING]


async def test_the_answer_that_opens_the_circuit_already_says_that_the_provider_is_down() -> None:
    outside = Outside(DOWN)
    outside.gate.set()
    guarded = _guarded(outside, Clock(), concurrency=1)
    reasons = [answer.reason.value for answer in await _ask(guarded, 6) if isinstance(answer, Unknown)]
    assert reasons == ["unreachable"] * 4 + ["provider_down"] * 2
    assert outside.asked == 5


def _throttled(seconds: float) -> Unknown:
    return Unknown(UnknownReason.RATE_LIMITED, "429", retry_after_seconds=seconds)


async def test_a_provider_with_a_limit_of_its_own_has_that_instead_of_the_general_one() -> None:
    outside = Outside()
    guarded = _guarded(outside, Clock(), kie=Limit(2))
    asking = asyncio.gather(_ask(guarded, 10, "kie"), _ask(guarded, 10, "fal"))
    await asyncio.wait([asking], timeout=0.05)
    assert outside.most_at_once == 2 + 4
    outside.gate.set()
    await asking


async def test_questions_come_no_faster_than_the_pace() -> None:
    outside = Outside()
    outside.gate.set()
    guarded = _guarded(outside, Clock(), concurrency=20, fal=Limit(20, Pace(3, 0.001)))
    asking = asyncio.create_task(_ask(guarded, 20))
    await asyncio.wait([asking], timeout=0.05)
    assert outside.asked == 3
    asking.cancel()
    await asyncio.wait([asking])


async def test_a_check_of_two_requests_takes_two_turns() -> None:
    outside = Outside()
    outside.gate.set()
    guarded = _guarded(outside, Clock(), concurrency=20, fal=Limit(20, Pace(6, 0.001), requests_per_check=2))
    asking = asyncio.create_task(_ask(guarded, 20))
    await asyncio.wait([asking], timeout=0.05)
    assert outside.asked == 3
    asking.cancel()
    await asyncio.wait([asking])


async def test_a_provider_holds_no_more_places_than_it_may_have_tasks_in_work() -> None:
    guarded = _guarded(Outside(), Clock(), concurrency=4, kie=Limit(2))
    assert guarded.room("fal", 0) == Room(4)
    assert guarded.room("fal", 3) == Room(1)
    assert guarded.room("kie", 2) == Room(0)


async def test_what_waits_for_the_pace_leaves_no_room_for_more() -> None:
    outside = Outside()
    outside.gate.set()
    guarded = _guarded(outside, Clock(), concurrency=100, fal=Limit(100, Pace(1, 5)))
    assert guarded.room("fal", 0) == Room(10)
    asking = asyncio.create_task(_ask(guarded, 10))
    await asyncio.wait([asking], timeout=0.02)
    assert guarded.room("fal", 10).more <= 2
    asking.cancel()
    await asyncio.wait([asking])
    assert guarded.room("fal", 0) == Room(10)


async def test_there_is_no_room_while_a_provider_asks_for_a_short_patience() -> None:
    outside, clock = Outside(_throttled(10)), Clock()
    outside.gate.set()
    guarded = _guarded(outside, clock)
    await _ask(guarded, 1)
    assert guarded.room("fal", 0) == Room(0)
    clock.now = 10
    assert guarded.room("fal", 0) == Room(4)


async def test_a_provider_that_is_down_or_wants_long_gets_only_places_that_nobody_wants() -> None:
    for answer in (DOWN, _throttled(3600)):
        outside = Outside(answer)
        outside.gate.set()
        guarded = _guarded(outside, Clock())
        await _ask(guarded, 10)
        assert guarded.room("fal", 0) == Room(4, last=True)


async def test_a_provider_that_only_ever_asks_for_patience_holds_no_run_up_for_ever() -> None:
    outside, clock = Outside(_throttled(10)), Clock()
    outside.gate.set()
    guarded = _guarded(outside, clock)
    for _ in range(5):
        await _ask(guarded, 3)
        assert guarded.room("fal", 0) == Room(0)
        clock.now += 10
    await _ask(guarded, 3)
    assert guarded.room("fal", 0) == Room(4, last=True)
