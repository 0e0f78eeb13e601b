"""`import`: users and tasks from a file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from backstop.cli.database import command_transactions, database_address
from backstop.cli.output import console, print_json
from backstop.cli.runs import AsJson
from backstop_admin_api.application.import_lines import LineError
from backstop_admin_api.application.import_records import ImportRecords, ImportReport
from backstop_admin_api.settings import IntakeSettings
from backstop_common.errors import TransientError
from backstop_common.providers.catalogue import Catalogue, load_catalogue
from backstop_common.settings import load_settings

EXIT_LINES_FAILED = 1
EXIT_INTERRUPTED = 2


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("import")(import_file)


def import_file(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, readable=True, help='NDJSON: {"type": "user" or "task", ...} per line.'
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do everything, then undo it; locks what it touches until it is over.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Import users and tasks; the same file again changes nothing.

    A user's line comes before the tasks of the user. Lines that fail are named and stop nothing else.
    Exit codes: 0 all lines are in, 1 some failed, 2 the database went away (import the file again).
    """
    settings = load_settings(IntakeSettings)
    catalogue = load_catalogue(providers_file=settings.providers_file, environ=os.environ)
    try:
        with file.open("rb") as lines, _bar(file, dry_run=dry_run, quiet=as_json) as bar, database_address() as url:
            report = asyncio.run(_import(url, catalogue, lines, bar, dry_run=dry_run))
    except TransientError as error:
        typer.echo(f"backstop: the import was interrupted: {error}. Import the file again.", err=True)
        raise SystemExit(EXIT_INTERRUPTED) from None
    if as_json:
        print_json(_as_json(report, dry_run=dry_run))
    else:
        console.print(_sentence(report, dry_run=dry_run))
    if report.failed:
        raise SystemExit(EXIT_LINES_FAILED)


@dataclass(frozen=True, slots=True)
class _Bar:
    """Where progress and errors are shown: on standard error, or nowhere."""

    file: Path
    progress: Progress
    line: TaskID

    def advance(self, size: int) -> None:
        self.progress.advance(self.line, size)

    def tell(self, error: LineError) -> None:
        if not self.progress.disable:
            place = f"{self.file.name}:{error.line}: " + (f"{error.field}: " if error.field else "")
            self.progress.console.print(f"{place}{error.message}", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _bar(file: Path, *, dry_run: bool, quiet: bool) -> Iterator[_Bar]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as progress:
        line = progress.add_task("rehearsing" if dry_run else "importing", total=file.stat().st_size)
        yield _Bar(file, progress, line)


async def _import(url: str, catalogue: Catalogue, lines: Iterable[bytes], bar: _Bar, *, dry_run: bool) -> ImportReport:
    async with command_transactions(url) as transactions:
        return await ImportRecords(transactions, catalogue)(
            lines, dry_run=dry_run, on_progress=bar.advance, on_error=bar.tell
        )


def _sentence(report: ImportReport, *, dry_run: bool) -> str:
    verb = "Would import" if dry_run else "Imported"
    failed = f"; {report.failed:,} lines failed" if report.failed else ""
    return f"{verb} {report.users:,} users and {report.tasks:,} tasks; {report.tasks_known:,} were known{failed}."


def _as_json(report: ImportReport, *, dry_run: bool) -> dict[str, object]:
    return {
        "dryRun": dry_run,
        "users": report.users,
        "tasks": report.tasks,
        "tasksKnown": report.tasks_known,
        "failed": report.failed,
        "errors": [asdict(error) for error in report.errors],
    }
