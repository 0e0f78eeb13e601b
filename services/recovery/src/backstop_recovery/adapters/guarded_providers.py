"""Providers asked with restraint: so many questions at once, none while one is down or asks for patience.

A question that is held back is answered `Unknown` at once, with the time to come back: the task keeps its place, the
run goes on with the others, and an outage costs a few questions instead of one per task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from backstop_recovery.application.metrics import CIRCUIT_OPEN
from backstop_recovery.application.ports import Providers, Reference
from backstop_recovery.domain.provider_health import OUTAGES, HealthPolicy, ProviderHealth, after
from backstop_recovery.domain.verdict import Unknown, UnknownReason, Verdict

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Gate:
    places: asyncio.Semaphore
    health: ProviderHealth = field(default_factory=ProviderHealth)


@dataclass(frozen=True, slots=True)
class GuardedProviders:
    """See the module. `clock` counts seconds; what is known is this process's own: replicas find out for themselves."""

    providers: Providers
    concurrency: int
    policy: HealthPolicy
    clock: Callable[[], float]
    _gates: dict[str, _Gate] = field(default_factory=dict)

    async def check(self, reference: Reference) -> Verdict:
        """Ask, unless the provider is better left alone."""
        gate = self._gates.setdefault(reference.provider, _Gate(asyncio.Semaphore(self.concurrency)))
        held = self._held(reference.provider, gate.health)
        if held is not None:
            return held
        async with gate.places:
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
