"""A provider that fails in a row is left alone, asked once after a while, and believed again when it answers."""

from __future__ import annotations

import pytest

from backstop_recovery.domain.provider_health import HealthPolicy, ProviderHealth, after
from backstop_recovery.domain.verdict import Failed, NotFound, StillRunning, Unknown, UnknownReason, Verdict

POLICY = HealthPolicy(failures_to_open=3, first_pause_seconds=30, longest_pause_seconds=100)
DOWN = Unknown(UnknownReason.SERVER_ERROR, "503")


def _after_all(verdicts: list[Verdict], *, now: float = 0.0) -> ProviderHealth:
    health = ProviderHealth()
    for verdict in verdicts:
        health = after(health, verdict, now=now, policy=POLICY)
    return health


def test_a_circuit_opens_at_the_threshold_and_not_before() -> None:
    assert _after_all([DOWN, DOWN]).pause_at(0) == 0
    assert _after_all([DOWN, DOWN, DOWN]).pause_at(0) == 30


@pytest.mark.parametrize("answer", [Failed("no"), NotFound("?"), StillRunning(queued=True, state="q")])
def test_any_answer_ends_a_row_of_failures(answer: Verdict) -> None:
    assert not _after_all([DOWN, DOWN, answer, DOWN, DOWN]).is_open


@pytest.mark.parametrize("reason", [UnknownReason.UNKNOWN_STATE, UnknownReason.BAD_REFERENCE])
def test_what_is_wrong_with_one_task_is_not_wrong_with_its_provider(reason: UnknownReason) -> None:
    assert not _after_all([Unknown(reason, "?")] * 10).is_open


def test_a_refused_key_opens_the_circuit_at_once() -> None:
    assert _after_all([Unknown(UnknownReason.AUTH_ERROR, "401")]).is_open


def test_being_throttled_holds_questions_back_without_opening_the_circuit() -> None:
    health = _after_all([Unknown(UnknownReason.RATE_LIMITED, "429", retry_after_seconds=7)])
    assert not health.is_open
    assert (health.pause_at(0), health.pause_at(6.5), health.pause_at(7)) == (7, 0.5, 0)


def test_after_the_pause_one_question_decides_and_the_others_wait() -> None:
    opened = _after_all([DOWN, DOWN, DOWN])
    assert opened.pause_at(30) == 0
    probing = opened.asked()
    assert probing.pause_at(31) > 0
    assert after(probing, StillRunning(queued=False, state="p"), now=31, policy=POLICY).pause_at(31) == 0


def test_a_failed_probe_doubles_the_pause_up_to_the_longest() -> None:
    health, now = _after_all([DOWN, DOWN, DOWN]), 0.0
    pauses = []
    for _ in range(4):
        pauses.append(health.pause_at(now))
        now += pauses[-1]
        health = after(health.asked(), DOWN, now=now, policy=POLICY)
    assert pauses == [30, 60, 100, 100]


def test_answers_to_questions_from_before_it_opened_do_not_prolong_the_pause() -> None:
    opened = _after_all([DOWN, DOWN, DOWN])
    later = after(opened, DOWN, now=1, policy=POLICY)
    assert later.pause_at(1) == opened.pause_at(1) == 29


def test_a_probe_that_was_dropped_leaves_the_next_question_to_decide() -> None:
    probing = _after_all([DOWN, DOWN, DOWN]).asked()
    assert probing.unanswered().pause_at(30) == 0


def _throttled_so_often(times: int, *, seconds: float = 10.0) -> tuple[ProviderHealth, float]:
    """What is known just after the last of so many wishes to come back later, and when that was."""
    health = ProviderHealth()
    for number in range(times):
        for _ in range(3):
            answer = Unknown(UnknownReason.RATE_LIMITED, "429", retry_after_seconds=seconds)
            health = after(health, answer, now=number * seconds, policy=POLICY)
    return health, (times - 1) * seconds


def test_a_short_wish_to_wait_is_worth_a_wait_until_it_has_been_made_too_often() -> None:
    worth = [health.is_worth_a_wait(now, POLICY) for health, now in map(_throttled_so_often, range(1, 8))]
    assert worth == [True] * 5 + [False] * 2


def test_any_answer_starts_the_count_of_waits_again() -> None:
    health, now = _throttled_so_often(5)
    health = after(health, StillRunning(queued=True, state="q"), now=now, policy=POLICY)
    health = after(health, Unknown(UnknownReason.RATE_LIMITED, "429"), now=now + 20, policy=POLICY)
    assert health.waits == 1


def test_a_long_wish_to_wait_an_outage_and_good_health_are_not_worth_a_wait() -> None:
    for health in (_throttled_so_often(1, seconds=61)[0], _after_all([DOWN, DOWN, DOWN]), ProviderHealth()):
        assert not health.is_worth_a_wait(0, POLICY)
