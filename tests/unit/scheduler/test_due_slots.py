"""Which slots are due: coalescing, the catch-up window, clocks that change, and expressions nobody can mean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop_scheduler.domain import Due, due_slot, parse_schedule

HOUR = timedelta(hours=1)
EVERY_TEN_MINUTES = parse_schedule("*/10 * * * *", "UTC")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_no_slot_is_due_before_its_moment() -> None:
    after, now = at("2026-11-23T10:00"), at("2026-11-23T10:09:59.999999")
    assert due_slot(EVERY_TEN_MINUTES, after=after, now=now, catch_up=HOUR) is None


def test_a_slot_is_due_at_its_very_moment() -> None:
    after, now = at("2026-11-23T10:00"), at("2026-11-23T10:10")
    assert due_slot(EVERY_TEN_MINUTES, after=after, now=now, catch_up=HOUR) == Due(now, 0)


def test_missed_slots_become_one_run_of_the_newest() -> None:
    after, now = at("2026-11-23T10:00"), at("2026-11-23T10:34")
    assert due_slot(EVERY_TEN_MINUTES, after=after, now=now, catch_up=HOUR) == Due(at("2026-11-23T10:30"), 2)


def test_a_slot_older_than_the_window_is_given_up() -> None:
    daily = parse_schedule("0 3 * * *", "UTC")
    now = at("2026-11-23T04:30")
    assert due_slot(daily, after=at("2026-11-20T03:00"), now=now, catch_up=HOUR) is None
    assert due_slot(daily, after=at("2026-11-20T03:00"), now=now, catch_up=2 * HOUR) == Due(at("2026-11-23T03:00"), 0)


def test_a_clock_that_went_backwards_finds_nothing_due() -> None:
    after, now = at("2026-11-23T10:30"), at("2026-11-23T10:15")
    assert due_slot(EVERY_TEN_MINUTES, after=after, now=now, catch_up=HOUR) is None


def test_six_fields_count_seconds() -> None:
    schedule = parse_schedule("*/20 * * * * *", "UTC")
    after, now = at("2026-11-23T10:00"), at("2026-11-23T10:00:41")
    assert due_slot(schedule, after=after, now=now, catch_up=HOUR) == Due(at("2026-11-23T10:00:40"), 1)


def _slots(expression: str, zone: str, start: str, end: str) -> list[datetime]:
    """All slots between two moments, as a scheduler that looks every minute meets them."""
    schedule, after, now, found = parse_schedule(expression, zone), at(start), at(start), []
    while now <= at(end):
        due = due_slot(schedule, after=after, now=now, catch_up=HOUR)
        if due is not None:
            found.append(due.slot)
            after = due.slot
        now += timedelta(minutes=1)
    return found


def test_a_daily_slot_in_the_repeated_hour_is_due_once() -> None:
    slots = _slots("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", "2026-10-25T12:00")
    assert slots == [at("2026-10-25T00:30")]


def test_a_daily_slot_in_the_skipped_hour_is_due_at_its_end() -> None:
    slots = _slots("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", "2026-03-29T12:00")
    assert slots == [at("2026-03-29T01:00")]


def test_a_repeating_schedule_keeps_its_pace_when_the_clocks_change() -> None:
    slots = _slots("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:45", "2026-10-25T02:00")
    assert slots == [at("2026-10-25T00:00") + n * timedelta(minutes=30) for n in range(5)]


def test_hours_are_meant_in_the_schedules_zone() -> None:
    slots = _slots("0 9 * * MON-FRI", "America/New_York", "2026-11-23T00:00", "2026-11-23T23:59")
    assert slots == [at("2026-11-23T14:00")]


@given(
    st.integers(0, 365 * 86_400),
    st.integers(0, 7200),
    st.integers(10, 7200),
    st.sampled_from([1, 5, 10, 15, 30]),
)
def test_the_due_slot_is_the_newest_multiple_in_reach(second: int, age: int, window: int, step: int) -> None:
    after = at("2026-01-01T00:00") + timedelta(seconds=second, microseconds=second % 3)
    now = after + timedelta(seconds=age)
    catch_up = timedelta(seconds=window)
    day = after.replace(hour=0, minute=0, second=0, microsecond=0)
    every = [day + timedelta(minutes=minute) for minute in range(0, 27 * 60, step)]
    reachable = [slot for slot in every if max(after, now - catch_up - timedelta(microseconds=1)) < slot <= now]
    expected = Due(reachable[-1], len(reachable) - 1) if reachable else None
    schedule = parse_schedule(f"*/{step} * * * *", "UTC")
    assert due_slot(schedule, after=after, now=now, catch_up=catch_up) == expected


@pytest.mark.parametrize("expression", ["", "* * * *", "61 * * * *", "every ten minutes", "* * * * * * *"])
def test_what_is_no_cron_expression_is_refused_with_a_remedy(expression: str) -> None:
    with pytest.raises(ValueError, match="write five fields"):
        parse_schedule(expression, "UTC")


def test_a_day_that_never_comes_is_refused() -> None:
    with pytest.raises(ValueError, match="2 \\*' is"):
        parse_schedule("0 0 30 2 *", "UTC")


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "Europe"])
def test_an_unknown_zone_is_refused_with_a_remedy(zone: str) -> None:
    with pytest.raises(ValueError, match="Europe/Berlin"):
        parse_schedule("*/10 * * * *", zone)
