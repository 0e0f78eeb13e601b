"""A provider's moment is read in the forms providers use, and nothing else is taken for one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop_recovery.adapters.moments import moment_of

THEN = datetime(2026, 9, 21, 13, 33, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        1_789_997_600,
        1_789_997_600.0,
        "1789997600",
        1_789_997_600_000,
        "1789997600000",
        "2026-09-21T13:33:20Z",
        "2026-09-21T15:33:20+02:00",
    ],
)
def test_a_moment_is_read_in_every_form(value: object) -> None:
    assert moment_of(value) == THEN


@pytest.mark.parametrize(
    "value",
    [None, True, 0, 3600, -1, 10**400, float("inf"), float("nan"), "", "soon", "2026-09-21 13:33:20", "9" * 40, [], {}],
)
def test_what_is_no_certain_moment_is_none(value: object) -> None:
    assert moment_of(value) is None


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.booleans()))
def test_nothing_a_provider_sends_raises(value: object) -> None:
    moment = moment_of(value)
    assert moment is None or moment.tzinfo is UTC
