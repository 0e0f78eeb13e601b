"""Providers asked with restraint: so many questions at once and per time, none while one is down or asks for patience.

A question that is held back is answered `Unknown` at once, with the time to come back: the task keeps its place, the
run goes on with the others, and an outage costs a few questions instead of one per task. `room` tells the pool
beforehand how many tasks of a provider it can use, so that waiting for a turn never fills the pool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog
from aiolimiter import AsyncLimiter

from backstop_recovery.application.metrics import CIRCUIT_OPEN
from backstop_recovery.application.ports import Providers, Reference
from backstop_recovery.domain.pace import Limit
from backstop_recovery.domain.places import Room
from backstop_recovery.domain.provider_health import OUTAGES, HealthPolicy, ProviderHealth, after
from backstop_recovery.domain.verdict import Unknown, UnknownReason, Verdict

_log = structlog.get_logger(__name__)


_AHEAD_SECONDS = 2.0
"""The pool looks for work once a second at least: so much of it may wait for its turn."""


@dataclass(slots=True)
class _Gate:
    """One provider's turnstile; `waiting` are the pool's checks that the pace holds back."""

    limit: Limit
    places: asyncio.Semaphore
    flow: AsyncLimiter | None
    waiting: int = 0
    health: ProviderHealth = field(default_factory=ProviderHealth)

    @classmethod
    def of(cls, limit: Limit) -> _Gate:
        pace = limit.pace
        flow = None if pace is None else AsyncLimiter(pace.burst, pace.burst / pace.per_second)
        return cls(limit, asyncio.Semaphore(limit.concurrency), flow)

    async def turn(self, *, is_counted: bool) -> None:
        """Wait until the pace allows another check."""
        if self.flow is None:
            return
        self.waiting += is_counted
        try:
            for _ in range(self.limit.requests_per_check):
                await self.flow.acquire()
        finally:
            self.waiting -= is_counted


@dataclass(frozen=True, slots=True)
class GuardedProviders:
    """See the module. `clock` counts seconds; what is known is this process's own: replicas find out for themselves.

    A provider without a limit of its own has `concurrency` and no pace.
    """

    providers: Providers
    concurrency: int
    policy: HealthPolicy
    clock: Callable[[], float]
    limits: Mapping[str, Limit] = field(default_factory=dict)
    _gates: dict[str, _Gate] = field(default_factory=dict)

    def room(self, provider: str, held: int) -> Room:
        """How many tasks more the pool may hold: as many as are in work at once, and as will have their turn soon.

        None while the provider asks for a short patience. While it is down, or wants longer, its tasks would only be
        put off: they are for places that nobody else wants, so that a run still comes to its end.
        """
        gate = self._gate(provider)
        now = self.clock()
        if gate.health.is_worth_a_wait(now, self.policy):
            return Room(0)
        soon = gate.limit.checks_within(_AHEAD_SECONDS) - gate.waiting
        return Room(int(min(gate.limit.concurrency - held, soon)), last=gate.health.pause_at(now) > 0)

    async def check(self, reference: Reference) -> Verdict:
        """Ask, unless the provider is better left alone."""
        return await self._check(reference, is_counted=True)

    async def check_aside(self, reference: Reference) -> Verdict:
        """The same, for what must not keep the pool waiting: its turn takes nothing of the pool's room."""
        return await self._check(reference, is_counted=False)

    async def _check(self, reference: Reference, *, is_counted: bool) -> Verdict:
        gate = self._gate(reference.provider)
        held = self._held(reference.provider, gate.health)
        if held is not None:
            return held
        async with gate.places:
            await gate.turn(is_counted=is_counted)
            held = self._held(reference.provider, gate.health)
            if held is not None:
                return held
            gate.health = gate.health.asked()
            try:
                verdict = await self.providers.check(reference)
            except BaseException:
                gate.health = gate.health.unanswered()
                raise
            self._learn(reference.provider, gate, verdict)
            return _in_context(reference.provider, verdict, gate.health)

    def _gate(self, provider: str) -> _Gate:
        if provider not in self._gates:
            self._gates[provider] = _Gate.of(self.limits.get(provider, Limit(self.concurrency)))
            CIRCUIT_OPEN.labels(provider=provider).set(0)
        return self._gates[provider]

    def _held(self, provider: str, health: ProviderHealth) -> Unknown | None:
        pause = health.pause_at(self.clock())
        if pause <= 0:
            return None
        if health.is_open:
            return Unknown(UnknownReason.PROVIDER_DOWN, f"{provider} is down; asked again in {pause:.0f} s", pause)
        return Unknown(UnknownReason.RATE_LIMITED, f"{provider} asked us to wait {pause:.0f} s", pause)

    def _learn(self, provider: str, gate: _Gate, verdict: Verdict) -> None:
        before = gate.health
        gate.health = after(before, verdict, now=self.clock(), policy=self.policy)
        if gate.health.is_open != before.is_open:
            CIRCUIT_OPEN.labels(provider=provider).set(gate.health.is_open)
        if gate.health.is_open and not before.is_open and isinstance(verdict, Unknown):
            _log.error("circuit_opened", provider=provider, reason=verdict.reason.value, message=verdict.message)
        elif before.is_open and not gate.health.is_open:
            _log.info("circuit_closed", provider=provider)


def _in_context(provider: str, verdict: Verdict, health: ProviderHealth) -> Verdict:
    """An answer that opened the circuit, or found it open, is no trouble of its task: the provider is down."""
    if health.is_open and isinstance(verdict, Unknown) and verdict.reason in OUTAGES:
        message = f"{provider} is down: {verdict.message}"
        return Unknown(UnknownReason.PROVIDER_DOWN, message, verdict.retry_after_seconds)
    return verdict
