"""What commands print: tables for people, JSON for programs (camelCase, as the HTTP interface)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from backstop_admin_api.application.run import Run

console = Console(highlight=False)

_COLOURS = {"completed": "green", "failed": "red", "running": "cyan", "skipped": "yellow", "missed": "yellow"}


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=2, default=str))  # noqa: T201 - this is the command's output


def moment(value: datetime | None) -> str | None:
    """RFC 3339 in UTC."""
    return None if value is None else value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
            f"[{_COLOURS[run.status]}]{run.status}[/]",
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


def plain_table(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> Table:
    """A table of these columns; what a row does not have is a dash."""
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*("–" if row.get(column) is None else str(row[column]) for column in columns))
    return table
