"""One message to one person or channel: what became of an attempt, and what follows from it.

Operator alerts prefer a duplicate to a loss, user mail prefers one mail: an attempt whose end nobody saw is tried
again on chat and is left as `uncertain` on e-mail.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never


class Channel(StrEnum):
    """Ways out. The values are those of the column `deliveries.channel`."""

    EMAIL = "email"
    SLACK = "slack"
    DISCORD = "discord"


class Kind(StrEnum):
    """What a delivery tells. The values are those of the column `deliveries.kind`."""

    TASK_COMPLETED = "task-completed"
    TASK_FAILED = "task-failed"
    INCIDENT_OPENED = "incident-opened"
    INCIDENT_RESOLVED = "incident-resolved"


_KEY_WORDS = {Channel.EMAIL: "mail", Channel.SLACK: "slack", Channel.DISCORD: "discord"}


def key_of(channel: Channel, kind: Kind, subject: object) -> str:
    """The unique key of a delivery: `mail:task-completed:<task>`, `slack:incident-opened:<incident>`."""
    return f"{_KEY_WORDS[channel]}:{kind}:{subject}"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The other side took it."""


@dataclass(frozen=True, slots=True)
class Postponed:
    """Not now. `everyone` says that the trouble is the channel's, not this message's."""

    reason: str
    retry_after_seconds: float | None = None
    everyone: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Never: trying again changes nothing."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unseen:
    """It was handed over and the answer never came: it may have arrived."""

    reason: str


Outcome = Accepted | Postponed | Refused | Unseen


@dataclass(frozen=True, slots=True)
class MarkSent:
    """Done."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after `delay_seconds`."""

    delay_seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class MarkFailed:
    """It will not be sent."""

    reason: str


@dataclass(frozen=True, slots=True)
class MarkUncertain:
    """It may have been sent, and a second one is worse than none."""

    reason: str


Decision = MarkSent | Retry | MarkFailed | MarkUncertain

MOST_ATTEMPTS = 12
_FIRST_DELAY_SECONDS = 5.0
_FACTOR = 3.0
_LONGEST_DELAY_SECONDS = 4 * 3600.0
_LONGEST_WISH_SECONDS = 6 * 3600.0


def decide(outcome: Outcome, *, channel: Channel, attempt_count: int, dice: float) -> Decision:
    """What an attempt's end means for its delivery.

    Args:
        attempt_count: attempts so far, this one included.
        dice: a random number in [0, 1) that spreads retries.
    """
    match outcome:
        case Accepted():
            return MarkSent()
        case Refused(reason=reason):
            return MarkFailed(reason)
        case Unseen(reason=reason):
            if channel is Channel.EMAIL:
                return MarkUncertain(reason)
            return _later(reason, None, attempt_count, dice)
        case Postponed(reason=reason, retry_after_seconds=wish):
            return _later(reason, wish, attempt_count, dice)
        case _:
            assert_never(outcome)


def _later(reason: str, wish: float | None, attempt_count: int, dice: float) -> Decision:
    if attempt_count >= MOST_ATTEMPTS:
        return MarkFailed(f"gave up after {attempt_count} attempts: {reason}")
    delay = delay_seconds(attempt_count, dice=dice) if wish is None else wished_delay_seconds(wish, dice=dice)
    return Retry(delay, reason)


def delay_seconds(attempt_count: int, *, dice: float) -> float:
    """The pause after attempt number `attempt_count`: 5 s, three times as long each time, at most 4 h, +-20 %.

    Twelve attempts reach over about sixteen hours.
    """
    pause = min(_FIRST_DELAY_SECONDS * _FACTOR ** min(attempt_count - 1, MOST_ATTEMPTS), _LONGEST_DELAY_SECONDS)
    return pause * (0.8 + 0.4 * dice)


def wished_delay_seconds(wish: float, *, dice: float) -> float:
    """The other side's own wish, never shorter and up to a tenth longer; at most 6 h."""
    return min(max(wish, 0.0), _LONGEST_WISH_SECONDS) * (1 + 0.1 * dice)
