"""Each resolution has one status, one outcome and one count, and the words are those of schema and contract."""

from __future__ import annotations

import pytest
from sqlalchemy import CheckConstraint

from backstop_common.contracts import TaskFailed
from backstop_common.database.tables import metadata
from backstop_recovery.domain.decision import Ending
from backstop_recovery.domain.resolution import Resolution, counted_as, outcome_of, status_of
from backstop_recovery.domain.verdict import OutputRole
from tests.support.resolutions import completed, ended, errored, still_open

WORDS = [
    (completed(), "completed", "completed", "completed"),
    (ended(ending=Ending.FAILED), "failed", "failed", "failed"),
    (ended(ending=Ending.CANCELLED), "cancelled", "cancelled", "failed"),
    (ended(ending=Ending.EXPIRED), "expired", "expired", "failed"),
    (ended(ending=Ending.ASSET_LOST), "asset_lost", "asset_lost", "failed"),
    (ended(ending=Ending.TIMED_OUT), "timed_out", "timed_out", "failed"),
    (still_open(), "processing", "still_processing", "stillProcessing"),
    (still_open(denied=True), "processing", "still_processing", "stillProcessing"),
    (errored(own=False), "processing", "error", "errors"),
    (errored(own=True), "processing", "error", "errors"),
    (errored(needs_attention=True), "needs_attention", "needs_attention", "errors"),
]


@pytest.mark.parametrize(("resolution", "status", "outcome", "count"), WORDS)
def test_a_resolution_has_its_words(resolution: Resolution, status: str, outcome: str, count: str) -> None:
    assert (status_of(resolution), outcome_of(resolution), counted_as(resolution)) == (status, outcome, count)


def _allowed(table: str, column: str) -> str:
    (check,) = metadata.tables[table].c[column].constraints
    assert isinstance(check, CheckConstraint)
    return str(check.sqltext)


def test_the_schema_allows_every_status_and_role() -> None:
    statuses = _allowed("tasks", "status")
    assert all(f"'{status}'" in statuses for _, status, _, _ in WORDS)
    assert all(f"'{role.value}'" in _allowed("task_assets", "role") for role in OutputRole)


def test_the_contract_knows_every_ending() -> None:
    outcomes = TaskFailed.model_json_schema()["properties"]["outcome"]["enum"]
    assert sorted(outcomes) == sorted(ending.value for ending in Ending)
