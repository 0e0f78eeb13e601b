"""When to leave a provider alone: a circuit breaker and its own wish to wait. Pure; moments are monotonic seconds.

A provider that fails several times in a row is not asked for a while; then one question goes out, and its answer
decides. A refused key concerns every task of the provider, so one is enough. Being throttled is no failure: the
provider says when to come back, and a run waits for that some times in a row, but not for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from backstop_recovery.domain.verdict import Unknown, UnknownReason, Verdict

_FAILURES = frozenset(
    {
        UnknownReason.SERVER_ERROR,
        UnknownReason.UNREACHABLE,
        UnknownReason.TIMED_OUT,
        UnknownReason.UNPARSABLE,
    }
)
OUTAGES = _FAILURES | {UnknownReason.AUTH_ERROR}
"""What is the provider's trouble, not one task's, once its circuit is open."""


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """After how many failures in a row, and for how long at first and at most (doubled each time), in seconds.

    A run waits for a provider that wants at most `longest_wait_seconds`, `waits_in_a_row` times without an answer
    between them. What is claimed during other pauses is answered at once as not known.
    """

    failures_to_open: int = 5
    first_pause_seconds: float = 30.0
    longest_pause_seconds: float = 300.0
    throttled_pause_seconds: float = 5.0
    longest_wait_seconds: float = 60.0
    waits_in_a_row: int = 5


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """What we know of a provider. `open_until` is set while its circuit is open; `pauses` counts openings in a row,
    `waits` the times in a row that it asked us to come back later."""

    failures: int = 0
    pauses: int = 0
    open_until: float | None = None
    hold_until: float = 0.0
    waits: int = 0
    probing: bool = False

    def pause_at(self, now: float) -> float:
        """For how long nobody may ask, in seconds; 0 when somebody may. While one question is out, others wait."""
        if self.open_until is not None:
            return max(self.open_until - now, 1.0 if self.probing else 0.0)
        return max(0.0, self.hold_until - now)

    def is_worth_a_wait(self, now: float, policy: HealthPolicy) -> bool:
        """Whether the provider will soon be asked again: better leave its tasks where they are until then."""
        return (
            self.open_until is None
            and 0 < self.hold_until - now <= policy.longest_wait_seconds
            and self.waits <= policy.waits_in_a_row
        )

    @property
    def is_open(self) -> bool:
        """Whether the circuit is open: the provider is down, or refuses our key."""
        return self.open_until is not None

    def asked(self) -> ProviderHealth:
        """A question goes out; with an open circuit it is the one that decides."""
        return replace(self, probing=self.is_open)

    def unanswered(self) -> ProviderHealth:
        """The question was dropped before its answer: the next one decides."""
        return replace(self, probing=False)


def after(health: ProviderHealth, verdict: Verdict, *, now: float, policy: HealthPolicy) -> ProviderHealth:
    """What we know after an answer."""
    if not isinstance(verdict, Unknown):
        return ProviderHealth(hold_until=health.hold_until)
    if verdict.reason is UnknownReason.RATE_LIMITED:
        pause = verdict.retry_after_seconds or policy.throttled_pause_seconds
        # Answers to questions that were already out belong to the same wish.
        waits = health.waits + (now >= health.hold_until)
        return ProviderHealth(hold_until=max(health.hold_until, now + pause), waits=waits)
    if verdict.reason is UnknownReason.AUTH_ERROR:
        return _opened(health, now, policy)
    if verdict.reason not in _FAILURES:
        return ProviderHealth(hold_until=health.hold_until)
    failures = health.failures + 1
    if health.is_open or failures >= policy.failures_to_open:
        return _opened(replace(health, failures=failures), now, policy)
    return replace(health, failures=failures, probing=False)


def _opened(health: ProviderHealth, now: float, policy: HealthPolicy) -> ProviderHealth:
    if health.open_until is not None and not health.probing:
        # An answer to a question from before it opened tells nothing new.
        return health
    pause = min(policy.first_pause_seconds * 2 ** min(health.pauses, 10), policy.longest_pause_seconds)
    return replace(health, pauses=health.pauses + 1, open_until=now + pause, probing=False)
