"""When a webhook's check is due: at once, or when the next slot begins."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backstop_admin_api.application.webhook_doorbell import SLOT_SECONDS, slots_at

moments = st.floats(0, 4e9)


@given(now=moments)
def test_the_next_slot_begins_within_one_slot(now: float) -> None:
    (slot, at_once), (following, delay) = slots_at(now)
    assert at_once == 0
    assert following == slot + 1
    assert 0 < delay <= SLOT_SECONDS


@given(now=moments)
def test_two_webhooks_of_one_moment_agree_about_the_slot(now: float) -> None:
    (slot, _), _ = slots_at(now)
    assert slot * SLOT_SECONDS <= now < (slot + 1) * SLOT_SECONDS


@given(arrivals=st.lists(st.floats(0, 60), min_size=1, max_size=40))
def test_every_webhook_is_followed_by_a_check_and_no_slot_has_two(arrivals: list[float]) -> None:
    """The inbox played by a set: what `ring` does with it."""
    asked: dict[int, float] = {}
    for now in sorted(arrivals):
        for slot, delay in slots_at(now):
            if slot not in asked:
                asked[slot] = now + delay
                break
        assert any(leaves >= now for leaves in asked.values())
    for slot, leaves in asked.items():
        assert slot * SLOT_SECONDS <= leaves + 1e-6
        assert leaves < (slot + 1) * SLOT_SECONDS
