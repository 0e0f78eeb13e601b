"""Derived ids are stored in databases and inboxes of others: they must never change, and never collide by kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop_common.ids import delivery_id, event_id, run_id, slot_of, tick_id, transaction_id

TASK = UUID("00000000-0000-0000-0000-000000000001")
TICK = UUID("9492fa6f-427b-5758-a772-d02ffcdb0a2f")

GOLDEN = [
    (tick_id("process-stuck-tasks", "2026-11-23T12:00:00Z"), "9492fa6f-427b-5758-a772-d02ffcdb0a2f"),
    (run_id(TICK), "ba86f9a4-62e9-59a5-8496-1af10b85acc0"),
    (event_id("task.completed", TASK), "33acf221-e07d-58d4-8c44-9775c0090867"),
    (event_id("run.sweep", TASK, 1), "d6495ddc-1916-5f58-8635-0377d2f8f549"),
    (event_id("task.needs-attention", TASK, 3), "db989e5f-0393-525a-851a-7740c99fc235"),
    (transaction_id(TASK, "charge"), "ed00fbad-3aa1-5897-ab9d-ca0916bfe1a1"),
    (transaction_id(TASK, "hold"), "3f55bcea-b5c4-5415-8808-ddc9205bba88"),
    (delivery_id(f"mail:task-completed:{TASK}"), "80c27dfe-441e-5c51-a13f-07be5038bd93"),
]


@pytest.mark.parametrize(("derived", "golden"), GOLDEN)
def test_a_derived_id_is_the_same_for_ever(derived: UUID, golden: str) -> None:
    assert str(derived) == golden


def test_ids_of_different_things_differ() -> None:
    assert len({derived for derived, _ in GOLDEN}) == len(GOLDEN)


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_two_slots_share_a_tick_only_when_job_and_slot_are_equal(a: str, b: str, c: str, d: str) -> None:
    separator = "\x1f"
    if separator not in a + b + c + d:
        assert (tick_id(a, b) == tick_id(c, d)) == ((a, b) == (c, d))


NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "moment",
    [
        NOON,
        NOON.astimezone(ZoneInfo("Europe/Berlin")),
        NOON.astimezone(timezone(timedelta(hours=-9, minutes=-30))),
        NOON.replace(microsecond=999_999),
    ],
)
def test_one_moment_has_one_spelling(moment: datetime) -> None:
    assert slot_of(moment) == "2026-11-23T12:00:00Z"


def test_both_turns_of_an_hour_that_the_clock_repeats_are_different_slots() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    first = datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=0)
    assert slot_of(first) != slot_of(first.replace(fold=1))
