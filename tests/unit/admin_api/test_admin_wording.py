"""Numbers as people read them, cursors nobody can break, and patience with wrong tokens."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop_admin_api.domain import RunCursor, in_words, next_slot
from backstop_admin_api.entrypoints.login_throttle import LoginThrottle
from backstop_admin_api.entrypoints.wording import duration_text, percent_text, trigger_text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (None, "–"),
        (0, "0 ms"),
        (850, "850 ms"),
        (12_340, "12.3 s"),
        (59_949, "59.9 s"),
        (59_999, "1 min 00 s"),
        (245_000, "4 min 05 s"),
        (7_380_000, "2 h 03 min"),
    ],
)
def test_durations_read_naturally(milliseconds: int | None, text: str) -> None:
    assert duration_text(milliseconds) == text


@pytest.mark.parametrize(("percent", "text"), [(100.0, "100 %"), (98.44, "98.4 %"), (0.0, "0 %")])
def test_percentages_read_naturally(percent: float, text: str) -> None:
    assert percent_text(percent) == text


def test_a_trigger_names_its_actor() -> None:
    assert trigger_text("manual", "admin") == "Manual by admin"
    assert trigger_text("schedule", None) == "Schedule"


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_cursor_survives_its_text(moment: datetime, run: UUID) -> None:
    cursor = RunCursor(moment, run)
    assert RunCursor.parse(cursor.text()) == cursor


@given(st.text(max_size=80))
def test_any_other_text_is_no_cursor(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        RunCursor.parse(text)


def test_the_next_slot_is_in_the_future_and_in_the_zone_of_the_schedule() -> None:
    now = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
    assert next_slot("0 9 * * *", "Europe/Berlin", now) == datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(("schedule", "zone"), [("whenever", "UTC"), ("* * * * *", "Nowhere/At-All")])
def test_an_unreadable_schedule_has_no_next_slot(schedule: str, zone: str) -> None:
    assert next_slot(schedule, zone, datetime(2026, 11, 23, tzinfo=UTC)) is None


def test_a_schedule_without_words_stands_for_itself() -> None:
    assert in_words("*/10 * * * *") == "Every 10th minute of every hour"
    assert in_words("whenever") == "whenever"


def test_an_address_may_try_again_after_a_while() -> None:
    now = [0.0]
    throttle = LoginThrottle(lambda: now[0], attempts=2, refill_seconds=30)
    for _ in range(2):
        throttle.failed("10.0.0.1")
    assert throttle.wait_seconds("10.0.0.1") == 30
    assert throttle.wait_seconds("10.0.0.2") == 0
    now[0] = 30.0
    assert throttle.wait_seconds("10.0.0.1") == 0


def test_an_address_that_knows_the_token_starts_afresh() -> None:
    throttle = LoginThrottle(lambda: 0.0, attempts=1)
    throttle.failed("10.0.0.1")
    throttle.succeeded("10.0.0.1")
    assert throttle.wait_seconds("10.0.0.1") == 0
