"""A run may fail so much and no more."""

from __future__ import annotations

import pytest

from backstop_recovery.domain.blast_radius import BlastRadius, Tally, stop_sentence

LIMIT = BlastRadius(percent=50, min_failed=20)


@pytest.mark.parametrize(
    ("failed", "checked", "exceeded"),
    [
        (19, 19, False),
        (20, 20, True),
        (20, 39, True),
        (20, 40, False),
        (21, 40, True),
        (500, 1000, False),
        (501, 1000, True),
        (0, 0, False),
    ],
)
def test_too_much_is_enough_failures_and_more_than_the_percentage(failed: int, checked: int, exceeded: bool) -> None:
    assert LIMIT.is_exceeded_by(Tally(failed, checked)) is exceeded


def test_a_hundred_percent_switches_it_off() -> None:
    assert not BlastRadius(percent=100, min_failed=0).is_exceeded_by(Tally(1000, 1000))


def test_zero_percent_lets_nothing_fail_from_the_least_number_on() -> None:
    limit = BlastRadius(percent=0, min_failed=1)
    assert limit.is_exceeded_by(Tally(1, 1000))
    assert not limit.is_exceeded_by(Tally(0, 1000))


def test_the_sentence_says_how_many_and_what_to_do() -> None:
    assert stop_sentence(Tally(31, 40), 50, "process-stuck-tasks") == (
        "stopped: it would have failed 31 of 40 checked tasks, more than the limit of 50 %; nothing more is failed"
        " until somebody decides: backstop hold approve|recheck process-stuck-tasks"
    )
