"""The first check tells why a task was stuck; later ones, and tasks whose webhook came, tell nothing."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import CheckConstraint

from backstop_common.database.tables import metadata
from backstop_recovery.domain.cause import StuckCause, cause_of, told_by
from backstop_recovery.domain.decision import Ending
from backstop_recovery.domain.resolution import Completed, Ended, Errored, Resolution, StillOpen
from backstop_recovery.domain.task import Denial, Task
from tests.support.resolutions import a_task, an_asset

WEBHOOK_LOST, PROVIDER_SLOW = StuckCause.WEBHOOK_LOST, StuckCause.PROVIDER_SLOW


def _done(task: Task) -> Resolution:
    return Completed(task, "succeeded", (an_asset(),))


def _ended(task: Task, verdict: str, ending: Ending) -> Resolution:
    return Ended(task, verdict, ending, None, "said so")


def _errored(task: Task, verdict: str, *, own: bool, denied: Denial | None = None) -> Resolution:
    return Errored(task, verdict, 30.0, "code", "message", own=own, denied=denied)


def _all(task: Task) -> list[tuple[Resolution, StuckCause]]:
    return [
        (_done(task), WEBHOOK_LOST),
        (_ended(task, "failed", Ending.FAILED), WEBHOOK_LOST),
        (_ended(task, "cancelled", Ending.CANCELLED), WEBHOOK_LOST),
        (_ended(task, "expired", Ending.EXPIRED), WEBHOOK_LOST),
        (_ended(task, "succeeded", Ending.ASSET_LOST), WEBHOOK_LOST),
        (_errored(task, "succeeded", own=False, denied=Denial.OUTPUT), WEBHOOK_LOST),
        (_errored(task, "succeeded", own=True), StuckCause.OWN_TROUBLE),
        (_errored(task, "failed", own=True), StuckCause.OWN_TROUBLE),
        (_errored(task, "unknown", own=True), StuckCause.OWN_TROUBLE),
        (StillOpen(task, "queued", 60.0, "queued"), PROVIDER_SLOW),
        (StillOpen(task, "processing", 60.0, "running"), PROVIDER_SLOW),
        (_ended(task, "processing", Ending.TIMED_OUT), PROVIDER_SLOW),
        (StillOpen(task, "not_found", 60.0, "who?", Denial.ID), StuckCause.PROVIDER_DENIES),
        (_ended(task, "not_found", Ending.FAILED), StuckCause.PROVIDER_DENIES),
        (_errored(task, "unknown", own=False), StuckCause.PROVIDER_TROUBLE),
        (StillOpen(task, "not_asked", 60.0, "no id yet"), StuckCause.NEVER_SUBMITTED),
        (_ended(task, "not_asked", Ending.FAILED), StuckCause.NEVER_SUBMITTED),
    ]


@pytest.mark.parametrize(
    ("resolution", "cause"), _all(a_task()), ids=[f"{r.verdict}-{type(r).__name__}" for r, _ in _all(a_task())]
)
def test_the_first_check_tells_the_cause(resolution: Resolution, cause: StuckCause) -> None:
    assert cause_of(resolution) is cause


@pytest.mark.parametrize("more", [{"check_count": 1}, {"told": True}, {"told": True, "check_count": 3}])
def test_a_later_check_and_a_task_whose_webhook_came_have_no_cause(more: dict[str, Any]) -> None:
    assert [cause_of(resolution) for resolution, _ in _all(a_task(**more))] == [None] * len(_all(a_task()))


def test_a_task_that_a_person_ended_before_anybody_asked_has_no_cause() -> None:
    assert cause_of(_ended(a_task(), "by_hand", Ending.FAILED)) is None


def test_the_words_are_those_of_the_schema_and_each_has_its_case() -> None:
    (check,) = metadata.tables["tasks"].c["stuck_cause"].constraints
    assert isinstance(check, CheckConstraint)
    assert all(f"'{cause.value}'" in str(check.sqltext) for cause in StuckCause)
    assert {cause for _, cause in _all(a_task())} == set(StuckCause)


@pytest.mark.parametrize("told", [True, False])
def test_the_end_of_a_finished_generation_was_told_by_its_webhook_or_by_nobody(told: bool) -> None:
    finished = {"succeeded", "failed", "cancelled", "expired"}
    for resolution, _ in _all(a_task(told=told, check_count=2)):
        is_end = isinstance(resolution, Completed | Ended) and resolution.verdict in finished
        assert told_by(resolution) == (("webhook" if told else "nobody") if is_end else None)
