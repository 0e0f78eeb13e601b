"""Every verdict, below, at and above each threshold, has exactly one decision."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop_recovery.domain.decision import (
    CopyOutputs,
    Decision,
    End,
    Ending,
    Policy,
    Trouble,
    Wait,
    copy_failed,
    decide,
    decide_without_id,
    in_time,
    needs_attention,
    output_gone,
)
from backstop_recovery.domain.task import Denial
from backstop_recovery.domain.verdict import (
    Cancelled,
    Expired,
    Failed,
    NotFound,
    Output,
    OutputRole,
    StillRunning,
    Succeeded,
    Unknown,
    UnknownReason,
    Verdict,
)
from tests.support.resolutions import NOW, a_task

POLICY = Policy()
GIVE_UP = POLICY.give_up_after_seconds
GRACE = POLICY.not_found_grace_seconds
PRIMARY = Output(0, OutputRole.PRIMARY, url="https://files.example/0.mp4")
THUMBNAIL = Output(1, OutputRole.THUMBNAIL, url="https://files.example/0.jpg")
RUNNING = StillRunning(queued=False, state="processing")
QUEUED = StillRunning(queued=True, state="IN_QUEUE")
DENIED = NotFound("the provider knows no such id")


def _decide(
    verdict: Verdict,
    *,
    age: float = 1200,
    jitter: float = 0.5,
    not_found_count: int = 0,
    last_denial: Denial | None = Denial.ID,
) -> Decision:
    task = a_task(age_seconds=age, not_found_count=not_found_count, last_denial=last_denial)
    return decide(task, verdict, now=NOW, policy=POLICY, jitter=jitter)


AGES = [0, GRACE - 1, GRACE, GRACE + 1, GIVE_UP - 1, GIVE_UP, GIVE_UP + 1, 10 * GIVE_UP]


@pytest.mark.parametrize("age", AGES)
@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (Succeeded((PRIMARY, THUMBNAIL)), CopyOutputs((PRIMARY, THUMBNAIL))),
        (Succeeded((THUMBNAIL, PRIMARY)), CopyOutputs((THUMBNAIL, PRIMARY))),
        (Failed("NSFW", "E005"), End(Ending.FAILED, "E005", "NSFW")),
        (Failed("no code"), End(Ending.FAILED, None, "no code")),
        (Cancelled("by the user"), End(Ending.CANCELLED, "cancelled", "by the user")),
        (Expired("data removed"), End(Ending.EXPIRED, "expired", "data removed")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_definitive_verdict_decides_at_any_age(verdict: Verdict, expected: Decision, age: float) -> None:
    assert _decide(verdict, age=age) == expected


@pytest.mark.parametrize("outputs", [(), (THUMBNAIL,)], ids=["none", "a thumbnail only"])
@pytest.mark.parametrize(
    ("denials_before", "age", "lost"),
    [(0, GRACE, False), (1, GIVE_UP, False), (2, GRACE - 1, False), (2, GRACE, True), (50, GRACE, True)],
)
def test_a_success_without_a_primary_output_is_a_lost_asset_once_it_is_confirmed_and_never_a_charge(
    outputs: tuple[Output, ...], denials_before: int, age: float, lost: bool
) -> None:
    decision = _decide(Succeeded(outputs), age=age, not_found_count=denials_before, last_denial=Denial.OUTPUT)
    if lost:
        assert isinstance(decision, End)
        assert (decision.ending, decision.code) == (Ending.ASSET_LOST, "success_without_output")
        assert f"({denials_before + 1} checks)" in decision.message
    else:
        assert isinstance(decision, Trouble)
        assert (decision.code, decision.own, decision.denied) == ("success_without_output", False, Denial.OUTPUT)


def test_denials_of_the_id_do_not_confirm_that_a_file_is_lost_nor_the_other_way_round() -> None:
    lost = _decide(Succeeded(()), age=GIVE_UP, not_found_count=50, last_denial=Denial.ID)
    denied = _decide(DENIED, age=GIVE_UP, not_found_count=50, last_denial=Denial.OUTPUT)
    gone = output_gone(a_task(not_found_count=50, last_denial=Denial.ID), message="404", now=NOW, policy=POLICY)
    assert isinstance(lost, Trouble)
    assert isinstance(denied, Wait)
    assert isinstance(gone, Trouble)


@pytest.mark.parametrize("verdict", [RUNNING, QUEUED], ids=["running", "queued"])
@pytest.mark.parametrize("age", [-60, 0, 600, GIVE_UP - 0.001])
def test_what_still_runs_waits_until_the_give_up_age(verdict: StillRunning, age: float) -> None:
    decision = _decide(verdict, age=age)
    assert isinstance(decision, Wait)
    assert verdict.state in decision.message
    assert decision.denied is None


@pytest.mark.parametrize("verdict", [RUNNING, QUEUED], ids=["running", "queued"])
@pytest.mark.parametrize("age", [GIVE_UP, GIVE_UP + 0.001, 10 * GIVE_UP])
def test_what_still_runs_at_the_give_up_age_has_timed_out(verdict: StillRunning, age: float) -> None:
    decision = _decide(verdict, age=age)
    assert isinstance(decision, End)
    assert (decision.ending, decision.code) == (Ending.TIMED_OUT, "timed_out")
    assert verdict.state in decision.message


@pytest.mark.parametrize(
    ("denials_before", "age", "final"),
    [
        (0, GRACE + 1, False),
        (1, GRACE + 1, False),
        (2, GRACE - 1, False),
        (2, GRACE, True),
        (2, GRACE + 1, True),
        (1, 10 * GIVE_UP, False),
        (50, GRACE - 1, False),
        (50, GRACE, True),
    ],
)
def test_denials_end_a_task_after_enough_confirmations_and_enough_age(
    denials_before: int, age: float, final: bool
) -> None:
    decision = _decide(DENIED, age=age, not_found_count=denials_before)
    if final:
        assert isinstance(decision, End)
        assert (decision.ending, decision.code) == (Ending.FAILED, "not_found")
        assert f"({denials_before + 1} checks)" in decision.message
    else:
        assert isinstance(decision, Wait)
        assert decision.denied is Denial.ID


@pytest.mark.parametrize("age", AGES)
@pytest.mark.parametrize("reason", list(UnknownReason))
def test_our_ignorance_never_ends_a_task(reason: UnknownReason, age: float) -> None:
    decision = _decide(Unknown(reason, "what happened"), age=age, not_found_count=99)
    assert isinstance(decision, Trouble)
    assert (decision.code, decision.message, decision.own) == (reason.value, "what happened", False)


@pytest.mark.parametrize(
    ("retry_after", "expected"), [(None, 120.0), (0.0, 120.0), (60.0, 120.0), (121.0, 121.0), (900.0, 900.0)]
)
def test_the_providers_wish_can_only_lengthen_the_pause(retry_after: float | None, expected: float) -> None:
    decision = _decide(Unknown(UnknownReason.RATE_LIMITED, "429", retry_after_seconds=retry_after), age=1200)
    assert isinstance(decision, Trouble)
    assert decision.recheck_seconds == pytest.approx(expected)


@pytest.mark.parametrize(
    ("age", "jitter", "expected"),
    [
        (-3600, 0.0, 15.0),
        (0, 0.5, 15.75),
        (149, 0.0, 15.0),
        (150, 1.0, 16.5),
        (200, 0.5, 20.0),
        (1200, 0.0, 108.0),
        (1200, 0.5, 120.0),
        (1200, 1.0, 132.0),
        (3000, 0.0, 270.0),
        (80_000, 0.5, 285.0),
        (80_000, 1.0, 300.0),
    ],
)
def test_the_pause_is_a_tenth_of_the_age_within_bounds(age: float, jitter: float, expected: float) -> None:
    decision = _decide(RUNNING, age=age, jitter=jitter)
    assert isinstance(decision, Wait)
    assert decision.recheck_seconds == pytest.approx(expected)


@given(
    age=st.floats(min_value=-1e6, max_value=1e7),
    jitter=st.floats(min_value=0, max_value=1),
    verdict=st.sampled_from([RUNNING, QUEUED, DENIED, Unknown(UnknownReason.TIMED_OUT, "slow"), Succeeded(())]),
)
def test_a_pause_is_never_shorter_or_longer_than_the_policy(age: float, jitter: float, verdict: Verdict) -> None:
    decision = _decide(verdict, age=age, jitter=jitter)
    if isinstance(decision, Wait | Trouble):
        assert POLICY.shortest_recheck_seconds <= decision.recheck_seconds
        assert decision.recheck_seconds <= POLICY.longest_recheck_seconds + 1e-9


@pytest.mark.parametrize(("age", "final"), [(0, False), (1799.999, False), (1800, True), (90_000, True)])
def test_a_task_that_never_got_an_id_fails_at_its_own_threshold(age: float, final: bool) -> None:
    task = a_task(age_seconds=age, provider_task_id=None)
    decision = decide_without_id(task, now=NOW, policy=POLICY, jitter=0.5)
    if final:
        assert isinstance(decision, End)
        assert (decision.ending, decision.code) == (Ending.FAILED, "never_submitted")
    else:
        assert isinstance(decision, Wait)
        assert decision.denied is None


@pytest.mark.parametrize(
    ("errors_before", "expected"), [(0, 15.0), (1, 30.0), (2, 60.0), (4, 240.0), (5, 300.0), (500, 300.0)]
)
def test_a_copy_that_failed_is_tried_again_with_doubled_pauses(errors_before: int, expected: float) -> None:
    decision = _copy_failed(errors_before=errors_before)
    assert decision == Trouble(expected, "copy_failed", "S3 said 503", own=True)


def test_a_copy_that_failed_honours_the_wish_of_the_other_side() -> None:
    assert _copy_failed(retry_after=77.0).recheck_seconds == 77.0


def test_a_failing_store_never_ends_a_task_and_is_no_denial() -> None:
    assert _copy_failed(errors_before=10_000).denied is None


def _copy_failed(*, errors_before: int = 0, retry_after: float | None = None, until: datetime | None = None) -> Trouble:
    task = a_task(error_count=errors_before)
    return copy_failed(
        task, message="S3 said 503", retry_after=retry_after, now=NOW, policy=POLICY, available_until=until
    )


@pytest.mark.parametrize(
    ("left", "expected"), [(10_000.0, 300.0), (600.0, 300.0), (200.0, 100.0), (20.0, 15.0), (0.0, 15.0), (-60.0, 15.0)]
)
def test_a_copy_is_tried_again_before_the_output_goes(left: float, expected: float) -> None:
    decision = _copy_failed(errors_before=9, until=NOW + timedelta(seconds=left))
    assert decision.recheck_seconds == expected


def test_a_pause_that_is_short_already_is_not_stretched_by_the_outputs_time() -> None:
    assert in_time(5.0, NOW + timedelta(seconds=4), now=NOW, policy=POLICY) == 5.0


def _gone(*, denials_before: int = 0, errors_before: int = 0, age: float = 1200, policy: Policy = POLICY) -> Decision:
    task = a_task(age_seconds=age, not_found_count=denials_before, error_count=errors_before, last_denial=Denial.OUTPUT)
    return output_gone(task, message="404", now=NOW, policy=policy)


def test_a_file_that_is_gone_once_is_looked_for_again() -> None:
    assert _gone() == Trouble(15.0, "output_gone", "404", own=False, denied=Denial.OUTPUT)


@pytest.mark.parametrize(
    ("denials_before", "age", "lost"),
    [(0, GIVE_UP, False), (1, GIVE_UP, False), (2, GRACE - 1, False), (2, GRACE, True), (3, GRACE, True)],
)
def test_a_file_that_stays_gone_is_lost(denials_before: int, age: float, lost: bool) -> None:
    decision = _gone(denials_before=denials_before, age=age)
    if lost:
        assert decision == End(Ending.ASSET_LOST, "output_gone", f"404 ({denials_before + 1} checks)")
    else:
        assert isinstance(decision, Trouble)


@pytest.mark.parametrize(("denials_before", "lost"), [(0, False), (1, True)])
def test_where_asking_again_brings_no_fresh_address_the_second_look_is_believed(
    denials_before: int, lost: bool
) -> None:
    decision = _gone(denials_before=denials_before, policy=Policy(fresh_addresses=False))
    assert isinstance(decision, End) is lost


def test_failures_of_our_own_do_not_confirm_that_a_file_is_gone() -> None:
    assert isinstance(_gone(errors_before=50), Trouble)


@pytest.mark.parametrize(("errors_before", "expected"), [(0, False), (8, False), (9, True), (10, True)])
def test_own_failures_add_up_until_a_person_has_to_look(errors_before: int, expected: bool) -> None:
    trouble = Trouble(15.0, "copy_failed", "away", own=True)
    assert needs_attention(a_task(error_count=errors_before), trouble, POLICY) is expected


@pytest.mark.parametrize("errors_before", [0, 9, 10, 1000])
def test_the_providers_failures_never_need_a_person(errors_before: int) -> None:
    trouble = Trouble(15.0, "server_error", "500", own=False)
    assert not needs_attention(a_task(error_count=errors_before), trouble, POLICY)
