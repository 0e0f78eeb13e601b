"""What follows from an attempt, and what mail servers and webhooks mean by their answers."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from backstop_notifier.adapters.chat_webhook import outcome_of_response
from backstop_notifier.adapters.smtp_mailer import outcome_of_refusal
from backstop_notifier.domain.delivery import (
    MOST_ATTEMPTS,
    Accepted,
    Channel,
    Decision,
    Kind,
    MarkFailed,
    MarkSent,
    MarkUncertain,
    Outcome,
    Postponed,
    Refused,
    Retry,
    Unseen,
    decide,
    delay_seconds,
    key_of,
)

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def decided(outcome: Outcome, *, channel: Channel = Channel.EMAIL, attempts: int = 1, dice: float = 0.5) -> Decision:
    return decide(outcome, channel=channel, attempt_count=attempts, dice=dice)


def test_accepted_is_sent_and_refused_is_failed_at_once() -> None:
    assert decided(Accepted()) == MarkSent()
    assert decided(Refused("no")) == MarkFailed("no")


def test_an_unseen_end_is_uncertain_for_mail_and_tried_again_on_chat() -> None:
    assert decided(Unseen("lost")) == MarkUncertain("lost")
    assert decided(Unseen("lost"), channel=Channel.SLACK) == Retry(5.0, "lost")


def test_the_other_sides_wish_replaces_our_back_off_and_is_never_shortened() -> None:
    for dice in (0.0, 0.999):
        decision = decided(Postponed("slow", retry_after_seconds=100), dice=dice)
        assert isinstance(decision, Retry)
        assert 100 <= decision.delay_seconds <= 110


def test_the_last_attempt_ends_it() -> None:
    decision = decided(Postponed("away"), attempts=MOST_ATTEMPTS)
    assert decision == MarkFailed("gave up after 12 attempts: away")
    assert isinstance(decided(Postponed("away"), attempts=MOST_ATTEMPTS - 1), Retry)


def test_back_off_starts_in_seconds_and_reaches_over_most_of_a_day() -> None:
    pauses = [delay_seconds(attempt, dice=0.5) for attempt in range(1, MOST_ATTEMPTS)]
    assert pauses[:4] == [5, 15, 45, 135]
    assert pauses[-1] == 4 * 3600
    assert 12 * 3600 < sum(pauses) < 24 * 3600


def test_jitter_stays_within_a_fifth() -> None:
    assert delay_seconds(2, dice=0.0) == pytest.approx(12)
    assert delay_seconds(2, dice=1.0) == pytest.approx(18)


def test_keys_are_those_others_rely_on() -> None:
    assert key_of(Channel.EMAIL, Kind.TASK_COMPLETED, "t") == "mail:task-completed:t"
    assert key_of(Channel.SLACK, Kind.INCIDENT_OPENED, "i") == "slack:incident-opened:i"


@pytest.mark.parametrize(("code", "kind"), [(550, Refused), (554, Refused), (450, Postponed), (452, Postponed)])
def test_smtp_refusals_for_good_and_for_now(code: int, kind: type[Outcome]) -> None:
    assert isinstance(outcome_of_refusal(code, "words\nof the server"), kind)


def test_a_server_that_closes_is_everybodys_trouble() -> None:
    assert outcome_of_refusal(421, "closing") == Postponed("421 closing", everyone=True)
    assert outcome_of_refusal(451, "later") == Postponed("451 later", everyone=False)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Accepted),
        (204, Accepted),
        (301, Refused),
        (400, Refused),
        (404, Refused),
        (408, Postponed),
        (502, Postponed),
    ],
)
def test_webhook_answers(status: int, outcome: type[Outcome]) -> None:
    assert isinstance(outcome_of_response(httpx.Response(status, text="words"), NOW), outcome)


@pytest.mark.parametrize(
    ("headers", "json", "seconds"),
    [
        ({"Retry-After": "30"}, None, 30),
        ({"Retry-After": "Mon, 23 Nov 2026 12:02:00 GMT"}, None, 120),
        ({"Retry-After": "Mon, 23 Nov 2026 11:00:00 GMT"}, None, 0),
        ({}, {"retry_after": 0.65}, 0.65),
        ({"Retry-After": "soon"}, {"retry_after": 2}, 2),
        ({"Retry-After": "inf"}, None, 5),
        ({"Retry-After": "-3"}, [], 5),
    ],
)
def test_a_rate_limit_tells_how_long(headers: dict[str, str], json: object, seconds: float) -> None:
    outcome = outcome_of_response(httpx.Response(429, headers=headers, json=json), NOW)
    assert isinstance(outcome, Postponed)
    assert outcome.retry_after_seconds == pytest.approx(seconds)
    assert outcome.everyone
