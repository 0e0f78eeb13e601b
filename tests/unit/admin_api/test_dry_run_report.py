"""The report of a dry run adds up, whatever the providers said."""

from __future__ import annotations

import pytest

from backstop_admin_api.application.report_dry_run import BlastRadius, DryRunReport, ReportLine
from backstop_admin_api.entrypoints.wording import settlement_text

LINES = [
    ReportLine("fal", "completed", 5, 50, 0),
    ReportLine("fal", "failed", 2, 0, 20),
    ReportLine("kie", "completed", 1, 7, 0),
    ReportLine("kie", "timed_out", 3, 0, 9),
    ReportLine("kie", "asset_lost", 1, 0, 4),
    ReportLine("kie", "still_processing", 4, 0, 0),
    ReportLine("kie", "error", 1, 0, 0),
    ReportLine("kie", "needs_attention", 1, 0, 0),
]


def test_the_totals_are_the_sums_of_the_lines() -> None:
    report = DryRunReport(LINES)
    assert (report.tasks, report.credits_charged, report.credits_returned) == (18, 57, 33)


def test_endings_are_what_ends_without_a_file_and_nothing_else() -> None:
    assert DryRunReport(LINES).endings == 6


@pytest.mark.parametrize("outcome", ["failed", "cancelled", "expired", "asset_lost", "timed_out"])
def test_every_ending_counts(outcome: str) -> None:
    assert DryRunReport([ReportLine("fal", outcome, 3, 0, 0)]).endings == 3


def test_a_report_of_nothing_is_all_zero() -> None:
    report = DryRunReport([])
    assert (report.tasks, report.endings, report.credits_charged, report.credits_returned) == (0, 0, 0, 0)


def test_a_run_that_noted_no_limit_has_none() -> None:
    assert BlastRadius.of({"completed": 1}) is None


def test_the_noted_limit_is_told() -> None:
    noted = {"limitPercent": 50, "minFailed": 20, "wouldStop": True, "isHeld": False}
    assert BlastRadius.of({"blastRadius": noted}) == BlastRadius(50, 20, would_stop=True, is_held=False)


@pytest.mark.parametrize(
    ("detail", "text"),
    [
        ({"settlement": "charge", "credits": 1250}, "1,250 charged"),
        ({"settlement": "release", "credits": 10}, "10 released"),
        ({"settlement": "refund", "credits": 1}, "1 refunded"),
        ({"message": "the provider says 'running'"}, "–"),
    ],
)
def test_the_credits_of_a_task_in_words(detail: dict[str, object], text: str) -> None:
    assert settlement_text(detail) == text
