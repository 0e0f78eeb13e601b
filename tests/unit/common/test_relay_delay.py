"""A message that was not confirmed is tried again sooner at first, and for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop_common.outbox.relay import delay_seconds


@pytest.mark.parametrize(
    ("attempt_count", "seconds"),
    [(0, 0.5), (1, 1.0), (2, 2.0), (5, 16.0), (6, 30.0), (10, 30.0), (11, 30.0), (1_000_000, 30.0)],
)
def test_pauses_double_up_to_half_a_minute(attempt_count: int, seconds: float) -> None:
    assert delay_seconds(attempt_count) == seconds


@given(st.integers(min_value=0, max_value=10**9))
def test_a_later_attempt_never_waits_less(attempt_count: int) -> None:
    assert 0.5 <= delay_seconds(attempt_count) <= delay_seconds(attempt_count + 1) <= 30
