"""Which slots of a schedule are due: pure, with the time as an argument.

A schedule is a cron expression in a time zone; with six fields the first one is seconds. Around a change of the clocks
the rules of Debian's cron hold for schedules that name an hour and a minute: a slot in the skipped hour moves to its
end, a slot in the repeated hour is due once. Schedules that repeat (`*/10 * * * *`) follow elapsed time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError


@dataclass(frozen=True, slots=True)
class Schedule:
    """A cron expression and the zone its hours are meant in; made by `parse_schedule`."""

    expression: str
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Due:
    """The one slot to run now, and how many earlier ones it stands for."""

    slot: datetime
    coalesced_count: int


def parse_zone(name: str) -> ZoneInfo:
    """The zone with this IANA name.

    Raises:
        ValueError: there is none; the sentence says how to write one.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name!r}; write it as UTC or Europe/Berlin") from None


def parse_schedule(expression: str, timezone: str) -> Schedule:
    """The schedule of these two texts.

    Raises:
        ValueError: one of them is not what it should be; the sentence says how to write it.
    """
    zone = parse_zone(timezone)
    try:
        next(CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise ValueError(
            f"{expression!r} is not a cron expression ({str(error).lower()}); write five fields such as"
            " '*/10 * * * *', or six with seconds in front such as '*/20 * * * * *'"
        ) from None
    except StopIteration:
        raise ValueError(f"{expression!r} is never due; write a day that exists") from None
    return Schedule(expression, zone)


def due_slot(schedule: Schedule, *, after: datetime, now: datetime, catch_up: timedelta) -> Due | None:
    """The newest slot later than `after` and not later than `now`; None when there is none.

    Slots older than `catch_up` are given up: nobody waits for them any more. A clock that went backwards finds no
    slot between `after` and `now`, so a slot that was run stays run.
    """
    newest: datetime | None = None
    missed = 0
    start = max(after, now - catch_up - timedelta(microseconds=1))
    for candidate in CronSim(schedule.expression, start.astimezone(schedule.zone)):
        slot = candidate.astimezone(UTC)
        if slot > now:
            break
        if slot <= start:
            continue
        missed += newest is not None
        newest = slot
    return None if newest is None else Due(newest, missed)
