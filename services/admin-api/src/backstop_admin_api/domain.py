"""Pure parts of reading the history: where a page of a listing goes on, and when a schedule is due next."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError


@dataclass(frozen=True, slots=True)
class RunCursor:
    """The last run of a page, newest first; the next page starts behind it, whatever was added meanwhile."""

    started_at: datetime
    id: UUID

    def text(self) -> str:
        """An opaque text for addresses."""
        return _wrapped(f"{self.started_at.astimezone(UTC).isoformat()}|{self.id}")

    @classmethod
    def parse(cls, text: str) -> RunCursor:
        """The cursor of this text.

        Raises:
            ValueError: the text is none of ours.
        """
        moment, _, run = _unwrapped(text).partition("|")
        started_at = datetime.fromisoformat(moment)
        if started_at.tzinfo is None:
            raise ValueError("a moment without a zone")
        try:
            return cls(started_at.astimezone(UTC), UUID(run))
        except OverflowError as error:
            raise ValueError("a moment outside of time") from error


def _wrapped(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _unwrapped(text: str) -> str:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError) as error:
        raise ValueError("not a cursor") from error


def next_slot(schedule: str, timezone: str, now: datetime) -> datetime | None:
    """The next moment the schedule is due; None when the schedule cannot be read."""
    try:
        slots = CronSim(schedule, now.astimezone(ZoneInfo(timezone)))
        return next(slot.astimezone(UTC) for slot in slots if slot > now)
    except (CronSimError, KeyError, ValueError, OSError, StopIteration):
        return None


def in_words(schedule: str) -> str:
    """The schedule as a person would say it; the expression itself when there are no words for it."""
    try:
        return CronSim(schedule, datetime(2000, 1, 1, tzinfo=UTC)).explain()
    except CronSimError:
        return schedule
