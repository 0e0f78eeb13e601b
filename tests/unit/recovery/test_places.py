"""Places go to whoever has the fewest, as far as each has room, and none is left free while somebody could use it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backstop_recovery.domain.places import Places, Room, share

NAMES = st.sampled_from(["fal", "kie", "luma", "replicate", "runway"])
ROOMS = st.dictionaries(NAMES, st.builds(Room, st.integers(-3, 40), st.booleans()))
HELD = st.dictionaries(NAMES, st.integers(0, 40))


def test_equals_share_equally() -> None:
    assert share(9, {}, {"a": Room(50), "b": Room(50), "c": Room(50)}) == {"a": 3, "b": 3, "c": 3}


def test_who_holds_many_already_waits_until_the_others_have_as_many() -> None:
    assert share(10, {"slow": 60}, {"slow": Room(50), "quick": Room(50)}) == {"quick": 10}


def test_what_one_cannot_use_is_the_others() -> None:
    assert share(10, {}, {"a": Room(2), "b": Room(50)}) == {"a": 2, "b": 8}


def test_who_has_no_room_gets_nothing() -> None:
    assert share(10, {}, {"full": Room(0), "over": Room(-1), "b": Room(3)}) == {"b": 3}


def test_who_is_not_asked_at_present_gets_only_what_nobody_else_wants() -> None:
    assert share(10, {"b": 40}, {"down": Room(50, last=True), "b": Room(50)}) == {"b": 10}
    assert share(10, {}, {"down": Room(50, last=True), "b": Room(3)}) == {"b": 3, "down": 7}


@given(st.integers(0, 100), HELD, ROOMS)
def test_no_place_is_left_free_while_somebody_has_room(free: int, held: dict[str, int], rooms: dict[str, Room]) -> None:
    shares = share(free, held, rooms)
    assert sum(shares.values()) == min(free, sum(max(0, room.more) for room in rooms.values()))
    assert all(0 < count <= rooms[name].more for name, count in shares.items())


@given(st.integers(0, 100), HELD, ROOMS)
def test_nobody_gets_a_place_who_then_has_two_more_than_another_with_room(
    free: int, held: dict[str, int], rooms: dict[str, Room]
) -> None:
    shares = share(free, held, rooms)
    after = {name: held.get(name, 0) + shares.get(name, 0) for name in rooms}
    for name in shares:
        for other, room in rooms.items():
            if room.last == rooms[name].last and shares.get(other, 0) < room.more:
                assert after[name] <= after[other] + 1


def test_the_room_is_asked_for_with_what_is_held() -> None:
    places = Places(lambda _, held: Room(20 - held))
    for _ in range(3):
        places.take("fal")
    places.leave("fal")
    assert places.rooms(["fal", "kie"]) == {"fal": Room(18), "kie": Room(20)}
    assert places.taken == 2
