"""Questions after giving up come at growing intervals, the last at the end of the window, and end with a last word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop_recovery.domain.late import LateFinding, LatePolicy, LateSuccess, pause_after
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
from tests.support.resolutions import a_task

FILE = Succeeded((Output(0, OutputRole.PRIMARY, url="https://files.example/0.mp4"),))
RUNNING = StillRunning(queued=False, state="processing")


def test_the_questions_of_a_day_grow_apart_and_the_last_comes_at_its_end() -> None:
    moments, since = [], 0.0
    while (pause := LatePolicy().next_check_seconds(since)) is not None:
        since += pause
        moments.append(since)
    assert [round(moment / 60) for moment in moments] == [10, 20, 40, 80, 160, 320, 640, 1280, 1440]


@pytest.mark.parametrize("policy", [LatePolicy(LateSuccess.IGNORE), LatePolicy(window_seconds=0)])
def test_nobody_asks_when_it_is_ignored_or_there_is_no_window(policy: LatePolicy) -> None:
    assert policy.next_check_seconds(0) is None


@given(since=st.floats(0, 1e7), window=st.floats(1, 1e6), first=st.floats(1, 1e5))
def test_no_question_comes_after_the_window(since: float, window: float, first: float) -> None:
    pause = LatePolicy(window_seconds=window, first_check_seconds=first).next_check_seconds(since)
    assert pause is None or 0 < pause <= window - since


@pytest.mark.parametrize(
    ("verdict", "again"),
    [
        (FILE, None),
        (Failed("no"), None),
        (Cancelled("by us"), None),
        (Expired("gone"), None),
        (Succeeded(()), 1200.0),
        (RUNNING, 1200.0),
        (NotFound("who?"), 1200.0),
        (Unknown(UnknownReason.SERVER_ERROR, "500"), 1200.0),
        (Unknown(UnknownReason.RATE_LIMITED, "429", 60), 1200.0),
        (Unknown(UnknownReason.RATE_LIMITED, "429", 7200), 7200.0),
    ],
)
def test_a_last_word_ends_the_questions(verdict: Verdict, again: float | None) -> None:
    assert pause_after(verdict, LatePolicy(), 1200) == again


@pytest.mark.parametrize("verdict", [RUNNING, NotFound("who?"), Unknown(UnknownReason.RATE_LIMITED, "429", 7200)])
def test_nothing_is_asked_once_the_window_is_over(verdict: Verdict) -> None:
    assert pause_after(verdict, LatePolicy(), 86_400) is None


def test_a_success_is_told_when_nothing_more_can_be_got() -> None:
    told = LateFinding(a_task(), "succeeded", "late", None, succeeded=True)
    copying = LateFinding(a_task(), "succeeded", "late", 60.0, succeeded=True)
    running = LateFinding(a_task(), "processing", "late", None)
    assert [finding.is_late_success for finding in (told, copying, running)] == [True, False, False]
