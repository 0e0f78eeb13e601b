"""A dry run asks behind the real work: a quarter of a provider at most, and nothing while the pool would wait."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from backstop_recovery.adapters.guarded_providers import GuardedProviders
from backstop_recovery.adapters.modest_providers import ModestProviders
from backstop_recovery.application.ports import Reference
from backstop_recovery.domain.pace import Limit, Pace
from backstop_recovery.domain.provider_health import HealthPolicy
from backstop_recovery.domain.verdict import StillRunning, Unknown, UnknownReason, Verdict

RUNNING = StillRunning(queued=False, state="processing")
THROTTLED = Unknown(UnknownReason.RATE_LIMITED, "too many", retry_after_seconds=3.0)


@dataclass(slots=True)
class Outside:
    """Answers when the gate is open; the first answers are given."""

    first: list[Verdict] = field(default_factory=list)
    open: int = 0
    most: int = 0
    asked: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def check(self, _: Reference) -> Verdict:
        self.asked += 1
        self.open += 1
        self.most = max(self.most, self.open)
        await self.gate.wait()
        self.open -= 1
        return self.first.pop(0) if self.first else RUNNING


@dataclass(slots=True)
class Clock:
    """Moves when somebody waits."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    async def pause(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


def _modest(outside: Outside, clock: Clock, **limits: Limit) -> ModestProviders:
    guarded = GuardedProviders(outside, 16, HealthPolicy(failures_to_open=2), clock, limits)
    return ModestProviders(guarded, pause=clock.pause)


async def _ask(providers: ModestProviders, count: int, provider: str = "fal") -> list[Verdict]:
    return await asyncio.gather(*(providers.check(Reference(provider, str(n), {})) for n in range(count)))


@pytest.mark.parametrize(
    ("limits", "places"),
    [({}, 4), ({"fal": Limit(8)}, 2), ({"fal": Limit(3)}, 1), ({"fal": Limit(64, Pace(50, 1000.0))}, 1)],
    ids=["default", "own limit", "small limit", "paced"],
)
async def test_a_quarter_of_a_provider_is_asked_at_once(limits: dict[str, Limit], places: int) -> None:
    outside = Outside()
    asking = asyncio.create_task(_ask(_modest(outside, Clock(), **limits), 20))
    await asyncio.wait([asking], timeout=0.05)
    assert outside.open == places
    outside.gate.set()
    assert await asking == [RUNNING] * 20
    assert outside.most == places


async def test_the_patience_a_provider_asks_for_is_waited_for_and_not_told_as_an_error() -> None:
    outside, clock = Outside(first=[THROTTLED]), Clock()
    outside.gate.set()
    providers = _modest(outside, clock, fal=Limit(4))
    answers = await _ask(providers, 5)
    assert answers == [THROTTLED, *[RUNNING] * 4]
    assert clock.now >= 3.0


async def test_a_provider_that_is_down_is_told_at_once() -> None:
    outside, clock = Outside(first=[Unknown(UnknownReason.UNREACHABLE, "refused")] * 2), Clock()
    outside.gate.set()
    providers = _modest(outside, clock, fal=Limit(4))
    answers = await _ask(providers, 6)
    assert outside.asked == 2
    assert all(isinstance(answer, Unknown) for answer in answers)
    assert clock.now == 0.0


async def test_a_rehearsal_that_waits_for_its_turn_takes_no_room_from_the_pool() -> None:
    outside, clock = Outside(), Clock()
    outside.gate.set()
    providers = _modest(outside, clock, fal=Limit(16, Pace(1, 0.01)))
    await providers.check(Reference("fal", "first", {}))
    waiting = asyncio.create_task(providers.check(Reference("fal", "second", {})))
    await asyncio.wait([waiting], timeout=0.05)
    assert outside.asked == 1
    assert providers.guarded.room("fal", 0).more == 1
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
