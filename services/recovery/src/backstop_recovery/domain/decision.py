"""From a verdict to what we do about it. Pure: time and randomness are arguments.

Only definitive verdicts end a task. The provider's ignorance of an id ends it after several confirmations and a
minimum age; our own ignorance never does. Still running past the give-up age is a time-out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from backstop_recovery.domain.task import Task
from backstop_recovery.domain.verdict import (
    Cancelled,
    Expired,
    Failed,
    NotFound,
    Output,
    StillRunning,
    Succeeded,
    Unknown,
    Verdict,
)


class Ending(StrEnum):
    """The final states without an asset; each returns the credits."""

    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient we are. All in seconds, counts in checks."""

    give_up_after_seconds: float = 86_400
    without_id_fails_after_seconds: float = 1_800
    not_found_grace_seconds: float = 600
    not_found_confirmations: int = 3
    own_failures_until_attention: int = 10
    shortest_recheck_seconds: float = 15
    longest_recheck_seconds: float = 300


@dataclass(frozen=True, slots=True)
class CopyOutputs:
    """Copy these, then complete and charge."""

    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True)
class End:
    """Final, without an asset: return the credits."""

    ending: Ending
    code: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Open; ask again later."""

    recheck_seconds: float
    message: str
    denied: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """We could not find out or could not finish. `own` failures add up until a person has to look."""

    recheck_seconds: float
    code: str
    message: str
    own: bool
    denied: bool = False


Decision = CopyOutputs | End | Wait | Trouble


def decide(task: Task, verdict: Verdict, *, now: datetime, policy: Policy, jitter: float) -> Decision:  # noqa: C901, PLR0911 - one branch per verdict
    """What to do about a verdict. `jitter` in 0..1 spreads the re-checks."""
    age = (now - task.submitted_at).total_seconds()
    recheck = _recheck_seconds(age, policy, jitter)
    match verdict:
        case Succeeded(outputs=outputs) if verdict.has_primary_output:
            return CopyOutputs(outputs)
        case Succeeded():
            return Trouble(
                recheck, "success_without_output", "the provider reports success but names no output", own=True
            )
        case Failed(message=message, code=code):
            return End(Ending.FAILED, code, message)
        case Cancelled(message=message):
            return End(Ending.CANCELLED, "cancelled", message)
        case Expired(message=message):
            return End(Ending.EXPIRED, "expired", message)
        case StillRunning(state=state) if age >= policy.give_up_after_seconds:
            return End(Ending.TIMED_OUT, "timed_out", f"still {state!r} at the provider after {_hours(age)}")
        case StillRunning(state=state):
            return Wait(recheck, f"the provider says {state!r}")
        case NotFound(message=message):
            denials = task.not_found_count + 1
            if denials >= policy.not_found_confirmations and age >= policy.not_found_grace_seconds:
                return End(Ending.FAILED, "not_found", f"{message} ({denials} checks)")
            return Wait(recheck, message, denied=True)
        case Unknown(reason=reason, message=message, retry_after_seconds=retry_after):
            return Trouble(max(recheck, retry_after or 0), reason.value, message, own=False)


def decide_without_id(task: Task, *, now: datetime, policy: Policy, jitter: float) -> Decision:
    """What to do about a task that never got a provider's id: nobody can be asked about it."""
    age = (now - task.submitted_at).total_seconds()
    if age >= policy.without_id_fails_after_seconds:
        return End(Ending.FAILED, "never_submitted", "the task never reached the provider")
    return Wait(_recheck_seconds(age, policy, jitter), "no provider id yet")


def copy_trouble(task: Task, *, gone: bool, message: str, retry_after: float | None, policy: Policy) -> Decision:
    """What to do when an output could not be copied: a file that stays gone has expired, all else is tried again."""
    if gone and task.not_found_count + 1 >= policy.not_found_confirmations:
        return End(Ending.EXPIRED, "output_gone", message)
    delay = min(policy.shortest_recheck_seconds * 2 ** min(task.error_count, 10), policy.longest_recheck_seconds)
    code = "output_gone" if gone else "copy_failed"
    return Trouble(max(delay, retry_after or 0), code, message, own=True, denied=gone)


def needs_attention(task: Task, trouble: Trouble, policy: Policy) -> bool:
    """Whether a person has to look: our own failures on this task have added up."""
    return trouble.own and task.error_count + 1 >= policy.own_failures_until_attention


def _recheck_seconds(age: float, policy: Policy, jitter: float) -> float:
    """A tenth of the age, within bounds, plus or minus a tenth."""
    delay = min(max(age / 10, policy.shortest_recheck_seconds), policy.longest_recheck_seconds)
    return delay * (0.9 + 0.2 * jitter)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours"
