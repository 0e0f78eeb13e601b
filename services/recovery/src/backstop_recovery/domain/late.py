"""What becomes of a success that comes after we gave up. Pure.

The user was told and the credits are back: nothing here charges anybody or changes the status.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from backstop_recovery.domain.asset import StoredAsset
from backstop_recovery.domain.task import Task
from backstop_recovery.domain.verdict import Cancelled, Expired, Failed, Succeeded, Unknown, Verdict


class LateSuccess(StrEnum):
    """`RECORD` tells of it in the timeline and a counter, `KEEP` also copies the outputs, `IGNORE` never asks."""

    RECORD = "record"
    KEEP = "keep"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class LatePolicy:
    """For how long after giving up the provider is still asked, and when for the first time. Seconds."""

    action: LateSuccess = LateSuccess.RECORD
    window_seconds: float = 86_400
    first_check_seconds: float = 600

    def next_check_seconds(self, since_given_up: float) -> float | None:
        """The pause before the next question, or None: no more.

        Each question doubles the time since giving up; the last one comes at the end of the window.
        """
        left = self.window_seconds - since_given_up
        if self.action is LateSuccess.IGNORE or left <= 0:
            return None
        return min(max(since_given_up, self.first_check_seconds), left)


@dataclass(frozen=True, slots=True)
class LateTask:
    """A claimed task that we gave up so many seconds ago."""

    task: Task
    provider_task_id: str
    since_given_up: float


@dataclass(frozen=True, slots=True)
class LateFinding:
    """What a late question found. Without `recheck_seconds` it was the last one; a success is told at its last one."""

    task: Task
    verdict: str
    message: str
    recheck_seconds: float | None
    succeeded: bool = False
    assets: tuple[StoredAsset, ...] = ()

    @property
    def is_late_success(self) -> bool:
        """Whether this is to be told as a late success: nothing more can be got from asking again."""
        return self.succeeded and self.recheck_seconds is None


def pause_after(verdict: Verdict, policy: LatePolicy, since_given_up: float) -> float | None:
    """When to ask again after an answer: never after a definitive one with a file or without one ever to come.

    The provider's wish to wait wins where it is longer, as long as the window is open.
    """
    pause = policy.next_check_seconds(since_given_up)
    match verdict:
        case Failed() | Cancelled() | Expired():
            return None
        case Succeeded() if verdict.has_primary_output:
            return None
        case Unknown(retry_after_seconds=wait) if pause is not None and wait is not None:
            return max(pause, wait)
        case _:
            return pause
