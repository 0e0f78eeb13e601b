"""However questions come, no window of the provider's length sees more of them than it allows."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop_recovery.domain.pace import Limit, Pace, pace_of


def _moments(pace: Pace, count: int) -> list[float]:
    """When a leaky bucket lets so many requests through that all wait from the beginning."""
    return [max(0.0, (number - pace.burst + 1) / pace.per_second) for number in range(count)]


@given(st.integers(1, 400), st.floats(0.5, 120), st.integers(1, 8))
def test_no_window_sees_more_than_the_share_of_a_process(requests: int, per_seconds: float, processes: int) -> None:
    share = ceil(requests / processes)
    moments = _moments(pace_of(requests, per_seconds, processes=processes), 3 * share + 2)
    for first, moment in enumerate(moments[: share + 2]):
        within = [other for other in moments[first:] if other < moment + per_seconds * 0.999999]
        assert len(within) <= share


@pytest.mark.parametrize(
    ("requests", "per_seconds", "processes", "pace"),
    [(20, 1, 1, Pace(2, 19)), (20, 1, 2, Pace(1, 10)), (150, 10, 1, Pace(15, 13.6)), (3, 60, 4, Pace(1, 0.0125))],
)
def test_a_tenth_may_come_at_once(requests: int, per_seconds: float, processes: int, pace: Pace) -> None:
    assert pace_of(requests, per_seconds, processes=processes) == pace


def test_at_least_one_check_is_let_through_in_any_while() -> None:
    slow = Limit(8, Pace(1, 0.01))
    assert slow.checks_within(2) == 1


def test_a_check_of_two_steps_counts_twice() -> None:
    assert Limit(8, Pace(1, 10), requests_per_check=2).checks_within(2) == 10


def test_without_a_pace_there_is_no_bound() -> None:
    assert Limit(8).checks_within(0.001) == float("inf")
