"""What commands print: tables for people, JSON for programs (camelCase, as the HTTP interface)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from backstop_admin_api.application.report_dry_run import DryRunReport
from backstop_admin_api.application.run import Run

console = Console(highlight=False)

_COLOURS = {"completed": "green", "failed": "red", "running": "cyan", "skipped": "yellow", "missed": "yellow"}


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=2, default=str))  # noqa: T201 - this is the command's output


def moment(value: datetime | None) -> str | None:
    """RFC 3339 in UTC."""
    return None if value is None else value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_written(text: str) -> Text:
    """What others wrote, without what would move a terminal: no markup of ours, no control characters."""
    return Text("".join(sign if sign.isprintable() or sign == "\n" else "\N{REPLACEMENT CHARACTER}" for sign in text))


def local(value: datetime | None) -> str:
    """The moment in the terminal's own zone."""
    return "–" if value is None else value.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def short(value: datetime) -> str:
    """The same, as short as it stays clear: the time for today, else day and time."""
    there = value.astimezone()
    return there.strftime("%H:%M:%S" if there.date() == datetime.now().astimezone().date() else "%m-%d %H:%M")


def duration(milliseconds: int | None) -> str:
    """Seconds with one digit."""
    return "–" if milliseconds is None else f"{milliseconds / 1000:.1f} s"


def run_as_json(run: Run) -> dict[str, object]:
    """The run as `GET /api/admin/cron-jobs/{id}` tells it."""
    return {
        "id": str(run.id),
        "jobName": run.job_name,
        "trigger": run.trigger,
        "actor": run.actor,
        "dryRun": run.dry_run,
        "scheduledFor": moment(run.scheduled_for),
        "startedAt": moment(run.started_at),
        "completedAt": moment(run.completed_at),
        "duration": run.duration,
        "status": run.status,
        "results": {
            "completed": run.results.completed,
            "failed": run.results.failed,
            "stillProcessing": run.results.still_processing,
            "errors": run.results.errors,
            "totalFound": run.results.total_found,
        },
        "errorMessage": run.error_message,
        "degradedProviders": list(run.degraded_providers),
    }


def runs_table(runs: Sequence[Run], *, title: str | None = None) -> Table:
    """The columns of the dashboard; fits a terminal of 80 columns."""
    table = Table(
        title=title, title_justify="left", header_style="bold", box=None, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for name in ("Run", "Started", "Duration", "Status", "Found", "Completed", "Failed", "Processing", "Errors"):
        left = name in {"Run", "Started", "Status"}
        table.add_column(name, justify="left" if left else "right", no_wrap=True)
    for run in runs:
        counts = run.results
        table.add_row(
            str(run.id)[:8],
            short(run.started_at),
            duration(run.duration),
            f"[{_COLOURS[run.status]}]{_status_word(run)}[/]",
            *(
                str(count)
                for count in (
                    counts.total_found,
                    counts.completed,
                    counts.failed,
                    counts.still_processing,
                    counts.errors,
                )
            ),
        )
    return table


def _status_word(run: Run) -> str:
    if not run.dry_run:
        return run.status
    return "dry run" if run.status == "completed" else f"dry {run.status}"


def report_as_json(report: DryRunReport) -> dict[str, object]:
    """The report of a dry run as `GET /api/admin/cron-jobs/{id}` tells it."""
    radius = report.blast_radius
    return {
        "tasks": report.tasks,
        "endings": report.endings,
        "creditsCharged": report.credits_charged,
        "creditsReturned": report.credits_returned,
        "lines": [
            {
                "provider": line.provider,
                "outcome": line.outcome,
                "tasks": line.tasks,
                "creditsCharged": line.credits_charged,
                "creditsReturned": line.credits_returned,
            }
            for line in report.lines
        ],
        "blastRadius": radius
        and {
            "limitPercent": radius.limit_percent,
            "minFailed": radius.min_failed,
            "wouldStop": radius.would_stop,
            "isHeld": radius.is_held,
        },
    }


def print_report(report: DryRunReport) -> None:
    """What a run would have done, for a person; fits a terminal of 80 columns."""
    console.print("Dry run: nothing was changed, files were not fetched. A run would do this:\n")
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0), show_footer=True)
    table.add_column("provider", "all")
    table.add_column("outcome", f"{report.endings} without a file")
    table.add_column("tasks", str(report.tasks), justify="right")
    table.add_column("credits charged", str(report.credits_charged), justify="right")
    table.add_column("credits returned", str(report.credits_returned), justify="right")
    for line in report.lines:
        counts = (line.tasks, line.credits_charged, line.credits_returned)
        table.add_row(as_written(line.provider), line.outcome, *(str(count) for count in counts))
    console.print(table)
    radius = report.blast_radius
    if radius is not None and radius.is_held:
        console.print("\nFailures are held: a run would withhold these endings until somebody decides.", style="yellow")
    elif radius is not None and radius.would_stop:
        console.print(
            f"\nThis would stop: a run that fails at least {radius.min_failed} tasks and more than"
            f" {radius.limit_percent} % of what it checked asks a person first.",
            style="yellow",
        )


def plain_table(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> Table:
    """A table of these columns; what a row does not have is a dash."""
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*("–" if row.get(column) is None else as_written(str(row[column])) for column in columns))
    return table
