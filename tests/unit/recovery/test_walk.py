"""A walk goes on behind the furthest task it has claimed, and never back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from backstop_recovery.domain.walk import NEVER, START, Position, Walk
from tests.support.resolutions import NOW

FIRST = Position(0, NOW, NOW, UUID(int=1))


def test_the_order_is_turn_then_output_deadline_then_age() -> None:
    ordered = [
        START,
        FIRST,
        replace(FIRST, id=UUID(int=2)),
        replace(FIRST, submitted_at=NOW + timedelta(seconds=1), id=UUID(int=0)),
        replace(FIRST, deadline=NOW + timedelta(seconds=1), submitted_at=NOW - timedelta(days=1)),
        replace(FIRST, deadline=NEVER, submitted_at=NOW - timedelta(days=2)),
        replace(FIRST, turn=1, deadline=NOW - timedelta(days=1)),
    ]
    assert sorted([*ordered[1:], ordered[0]]) == ordered


def test_a_walk_begins_before_every_task() -> None:
    walk = Walk().begin(["fal", "kie"])
    assert walk.is_begun
    assert walk.ahead == {"fal": START, "kie": START}


def test_it_goes_on_behind_the_furthest_and_leaves_out_who_has_no_more() -> None:
    further = replace(FIRST, turn=3)
    walk = Walk().begin(["fal", "kie", "luma"])
    walk = walk.go_on([("fal", further), ("fal", FIRST), ("kie", FIRST)], {"kie"})
    assert walk.ahead == {"fal": further, "luma": START}


def test_a_walk_over_nothing_is_over_but_begun() -> None:
    walk = Walk().begin([])
    assert walk.is_begun
    assert walk.ahead == {}
