"""What becomes of a success that comes after we gave up. Pure.

The user was told and the credits are back: nothing here charges anybody or changes the status.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
