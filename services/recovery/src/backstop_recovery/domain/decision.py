"""From a verdict to what we do about it. Pure: time and randomness are arguments.

Only definitive verdicts end a task. The provider's ignorance of an id ends it after several confirmations and a
minimum age, and so does a success whose file is not to be had; our own ignorance never does. Still running past the
give-up age is a time-out. The whole table with a test per row: docs/decision-table.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from backstop_recovery.domain.late import LatePolicy
from backstop_recovery.domain.task import Denial, Task
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
    """The final states without an asset; each returns the credits.

    `EXPIRED` is what the provider itself says; `ASSET_LOST` a success, by its word, whose file is not to be had.
    """

    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    ASSET_LOST = "asset_lost"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient we are with one provider's tasks of one kind. All in seconds, counts in checks.

    `fresh_addresses`: asking the provider again may bring a new address for a file that is gone.
    """

    give_up_after_seconds: float = 86_400
    without_id_fails_after_seconds: float = 1_800
    not_found_grace_seconds: float = 600
    not_found_confirmations: int = 3
    own_failures_until_attention: int = 10
    shortest_recheck_seconds: float = 15
    longest_recheck_seconds: float = 300
    fresh_addresses: bool = True
    late: LatePolicy = field(default_factory=LatePolicy)

    @property
    def gone_confirmations(self) -> int:
        """How often a file must be gone: where asking again brings the same address, a second look is enough."""
        return self.not_found_confirmations if self.fresh_addresses else min(2, self.not_found_confirmations)


@dataclass(frozen=True, slots=True)
class CopyOutputs:
    """Copy these, then complete and charge."""

    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True)
class End:
    """Final, without an asset: return the credits. `look_again_seconds`: when to ask whether it succeeded after all."""

    ending: Ending
    code: str | None
    message: str
    look_again_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Open; ask again later."""

    recheck_seconds: float
    message: str
    denied: Denial | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """We could not find out or could not finish. `own` failures add up until a person has to look."""

    recheck_seconds: float
    code: str
    message: str
    own: bool
    denied: Denial | None = None


Decision = CopyOutputs | End | Wait | Trouble


def decide(task: Task, verdict: Verdict, *, now: datetime, policy: Policy, jitter: float) -> Decision:  # noqa: PLR0911 - one branch per verdict
    """What to do about a verdict. `jitter` in 0..1 spreads the re-checks."""
    recheck = _recheck_seconds(_age(task, now), policy, jitter)
    match verdict:
        case Succeeded(outputs=outputs) if verdict.has_primary_output:
            return CopyOutputs(outputs)
        case Succeeded():
            message = "the provider reports success but names no output"
            trouble = Trouble(recheck, "success_without_output", message, own=False, denied=Denial.OUTPUT)
            return _lost_or(trouble, task, policy.not_found_confirmations, now, policy)
        case Failed(message=message, code=code):
            return End(Ending.FAILED, code, message)
        case Cancelled(message=message):
            return End(Ending.CANCELLED, "cancelled", message)
        case Expired(message=message):
            return End(Ending.EXPIRED, "expired", message)
        case StillRunning(state=state):
            return _still_running(task, state, recheck, now, policy)
        case NotFound(message=message):
            denials = task.denials_of(Denial.ID) + 1
            if _confirmed(task, denials, policy.not_found_confirmations, now, policy):
                return End(Ending.FAILED, "not_found", f"{message} ({denials} checks)")
            return Wait(recheck, message, denied=Denial.ID)
        case Unknown(reason=reason, message=message, retry_after_seconds=retry_after):
            return Trouble(max(recheck, retry_after or 0), reason.value, message, own=False)


def decide_without_id(task: Task, *, now: datetime, policy: Policy, jitter: float) -> Decision:
    """What to do about a task that never got a provider's id: nobody can be asked about it."""
    age = _age(task, now)
    if age >= policy.without_id_fails_after_seconds:
        return End(Ending.FAILED, "never_submitted", "the task never reached the provider")
    return Wait(_recheck_seconds(age, policy, jitter), "no provider id yet")


def output_gone(
    task: Task, *, message: str, now: datetime, policy: Policy, available_until: datetime | None = None
) -> Decision:
    """What to do when the file host no longer has an output: look again, and in the end believe it."""
    pause = in_time(_doubled(task.denials_of(Denial.OUTPUT), policy), available_until, now=now, policy=policy)
    trouble = Trouble(pause, "output_gone", message, own=False, denied=Denial.OUTPUT)
    return _lost_or(trouble, task, policy.gone_confirmations, now, policy)


def copy_failed(
    task: Task,
    *,
    message: str,
    retry_after: float | None,
    now: datetime,
    policy: Policy,
    available_until: datetime | None = None,
) -> Trouble:
    """What to do when an output could not be copied: try again while it is there, until a person has to look."""
    pause = in_time(_doubled(task.error_count, policy), available_until, now=now, policy=policy)
    return Trouble(max(pause, retry_after or 0), "copy_failed", message, own=True)


def needs_attention(task: Task, trouble: Trouble, policy: Policy) -> bool:
    """Whether a person has to look: our own failures on this task have added up."""
    return trouble.own and task.error_count + 1 >= policy.own_failures_until_attention


def in_time(pause: float, until: datetime | None, *, now: datetime, policy: Policy) -> float:
    """A pause that leaves half of the time until the outputs go, but no shorter than the shortest."""
    if until is None:
        return pause
    return max(min(pause, (until - now).total_seconds() / 2), min(pause, policy.shortest_recheck_seconds))


def _still_running(task: Task, state: str, recheck: float, now: datetime, policy: Policy) -> Decision:
    age = _age(task, now)
    if age < policy.give_up_after_seconds:
        return Wait(recheck, f"the provider says {state!r}")
    message = f"still {state!r} at the provider after {age / 3600:.1f} hours"
    return End(Ending.TIMED_OUT, "timed_out", message, look_again_seconds=policy.late.next_check_seconds(0))


def _lost_or(trouble: Trouble, task: Task, confirmations: int, now: datetime, policy: Policy) -> Decision:
    denials = task.denials_of(Denial.OUTPUT) + 1
    if _confirmed(task, denials, confirmations, now, policy):
        return End(Ending.ASSET_LOST, trouble.code, f"{trouble.message} ({denials} checks)")
    return trouble


def _confirmed(task: Task, denials: int, confirmations: int, now: datetime, policy: Policy) -> bool:
    return denials >= confirmations and _age(task, now) >= policy.not_found_grace_seconds


def _age(task: Task, now: datetime) -> float:
    return (now - task.submitted_at).total_seconds()


def _doubled(times_before: int, policy: Policy) -> float:
    return min(policy.shortest_recheck_seconds * 2.0 ** min(times_before, 10), policy.longest_recheck_seconds)


def _recheck_seconds(age: float, policy: Policy, jitter: float) -> float:
    """A tenth of the age, plus or minus a tenth, never outside the bounds."""
    shortest, longest = policy.shortest_recheck_seconds, policy.longest_recheck_seconds
    pause = min(max(age / 10, shortest), longest)
    low, high = max(0.9 * pause, shortest), min(1.1 * pause, longest)
    return low + (high - low) * jitter
