"""`runs`, `run`, `tick`, `trigger`: what ran, and making something run."""

from __future__ import annotations

import asyncio
import getpass
from dataclasses import dataclass
from typing import Annotated, NoReturn
from uuid import UUID

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from backstop.cli.database import command_transactions, database_address
from backstop.cli.output import (
    as_written,
    console,
    plain_table,
    print_json,
    print_report,
    report_as_json,
    run_as_json,
    runs_table,
)
from backstop_admin_api.application.list_run_tasks import ListRunTasks
from backstop_admin_api.application.list_runs import ListRuns
from backstop_admin_api.application.read_run import ReadRun
from backstop_admin_api.application.report_dry_run import DryRunReport, ReportDryRun
from backstop_admin_api.application.run import Run
from backstop_admin_api.application.trigger_run import AlreadyActive, NoSuchJob, Requested, TriggerRun
from backstop_admin_api.entrypoints.wording import settlement_text
from backstop_common.database import Transactions
from backstop_common.errors import TransientError

EXIT_RUN_FAILED = 1
EXIT_BUSY = 3
EXIT_TIMED_OUT = 4

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until the run is over; its end decides the exit code.")]
Seconds = Annotated[float, typer.Option("--timeout", help="Seconds to wait at most.", min=1)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("runs")(list_runs)
    app.command("run")(show_run)
    app.command("tick")(tick)
    app.command("trigger")(trigger)


def list_runs(
    job: Annotated[str | None, typer.Option("--job", help="Only runs of this job.")] = None,
    status: Annotated[str | None, typer.Option(help="running, completed, failed, skipped or missed.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: AsJson = False,
) -> None:
    """List the latest runs."""
    with database_address() as url:
        runs = asyncio.run(_list(url, job, status, limit))
    if as_json:
        print_json([run_as_json(run) for run in runs])
    elif runs:
        console.print(runs_table(runs))
    else:
        console.print("No runs yet. `backstop trigger process-stuck-tasks` starts one.")


async def _list(url: str, job: str | None, status: str | None, limit: int) -> list[Run]:
    async with command_transactions(url) as transactions:
        page = await ListRuns(transactions)(job_name=job, status=status, limit=limit, cursor=None)
    return list(page.runs)


def show_run(
    run_id: Annotated[str, typer.Argument(metavar="ID", help="The run's id, or its beginning.")],
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Tasks to show at most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show one run and what it found out about each task; of a dry run, the report."""
    with database_address() as url:
        run, tasks, report = asyncio.run(_show(url, run_id, limit))
    if as_json:
        print_json({**_as_json(run, report), "tasks": tasks})
        return
    console.print(runs_table([run]))
    by = f" by {run.actor}" if run.actor else ""
    console.print(as_written(f"\n{run.id}, triggered by {run.trigger}{by}"))
    if run.note:
        console.print(as_written(f"\n{run.note}"))
    if report is not None:
        console.print()
        print_report(report)
    if tasks:
        console.print()
        console.print(
            plain_table(
                ["task", "provider", "kind", "verdict", "outcome", *(["credits"] if run.dry_run else []), "reason"],
                [{**task, "task": str(task["taskId"])[:8]} for task in tasks],
            )
        )


async def _show(url: str, beginning: str, limit: int) -> tuple[Run, list[dict[str, object]], DryRunReport | None]:
    async with command_transactions(url) as transactions:
        async with transactions.read() as reading:
            found = await reading.rows(
                "SELECT id FROM cron_job_executions WHERE id::text LIKE :beginning ORDER BY started_at DESC LIMIT 2",
                beginning=f"{beginning.lower().replace('%', '').replace('_', '')}%",
            )
        if len(found) != 1:
            _end(f"{'No run' if not found else 'More than one run'} begins with {beginning!r}.", EXIT_RUN_FAILED)
        run = await ReadRun(transactions)(found[0]["id"])
        if run is None:
            _end(f"The run {beginning} was just removed.", EXIT_RUN_FAILED)
        report = await ReportDryRun(transactions)(run.id) if run.dry_run else None
        page = await ListRunTasks(transactions)(run.id, limit=limit, after=0, dry_run=run.dry_run)
    tasks: list[dict[str, object]] = [
        {
            "taskId": str(task.task_id),
            "provider": task.provider,
            "kind": task.kind,
            "status": task.status,
            "verdict": task.verdict,
            "outcome": task.outcome,
            "reason": task.reason,
            **({"credits": settlement_text(task.detail)} if run.dry_run else {}),
        }
        for task in page.tasks
    ]
    return run, tasks, report


def tick(
    job: Annotated[str, typer.Argument(help="The job, for example process-stuck-tasks.")],
    wait: Wait = False,
    timeout: Seconds = 900,
    as_json: AsJson = False,
) -> None:
    """Make one slot of a job due: what a Kubernetes CronJob, or any cron, calls instead of the scheduler.

    Exit codes with --wait: 0 completed, 1 failed, 3 skipped, 4 not over in time.
    """
    with database_address() as url:
        asyncio.run(_request(url, _Wish(job), wait=wait, patience=timeout, as_json=as_json))


def trigger(  # noqa: PLR0917 - the options of a command
    job: Annotated[str, typer.Argument(help="The job, for example process-stuck-tasks.")],
    wait: Wait = False,
    timeout: Seconds = 900,
    key: Annotated[str | None, typer.Option(help="Idempotency key: the same key is the same run.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ask and report, but change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start a run now, recorded as yours; refused while one is active (a dry run: while a dry run is).

    Exit codes: 3 when a run is active already; with --wait also 0 completed, 1 failed, 4 not over in time.
    """
    wish = _Wish(job, by_person=True, key=key, dry_run=dry_run)
    with database_address() as url:
        asyncio.run(_request(url, wish, wait=wait, patience=timeout, as_json=as_json))


@dataclass(frozen=True, slots=True)
class _Wish:
    """What somebody asks for."""

    job: str
    by_person: bool = False
    key: str | None = None
    dry_run: bool = False

    async def ask(self, transactions: Transactions) -> Requested | AlreadyActive | NoSuchJob:
        """In the same way as the page and the API."""
        trigger_run = TriggerRun(transactions)
        if not self.by_person:
            return await trigger_run.by_cron(self.job, key=None)
        actor = f"cli:{getpass.getuser()}"
        return await trigger_run.by_person(self.job, actor=actor, via="cli", key=self.key, dry_run=self.dry_run)


async def _request(url: str, wish: _Wish, *, wait: bool, patience: float, as_json: bool) -> None:
    what = "Dry run" if wish.dry_run else "Run"
    run, report = None, None
    async with command_transactions(url) as transactions:
        match await wish.ask(transactions):
            case NoSuchJob():
                _end(f"There is no job {wish.job!r}. `backstop jobs` lists them.", EXIT_RUN_FAILED)
            case AlreadyActive(run_id=active):
                _end(f"{what} {active} is active already; nothing was started.", EXIT_BUSY)
            case Requested(run_id=run_id):
                run = await _follow(transactions, run_id, patience, quiet=as_json) if wait else None
        if run is not None and run.dry_run:
            report = await ReportDryRun(transactions)(run.id)
    if as_json:
        print_json(_as_json(run, report) if run else {"id": str(run_id), "jobName": wish.job, "dryRun": wish.dry_run})
    elif run is not None:
        console.print(runs_table([run]))
        if report is not None:
            console.print()
            print_report(report)
    elif not wait:
        console.print(f"{what} {run_id} is due.")
    if wait:
        _judge(run, run_id, patience)


def _as_json(run: Run, report: DryRunReport | None) -> dict[str, object]:
    """The run as `GET /api/admin/cron-jobs/{id}` tells it."""
    return {**run_as_json(run), "report": report and report_as_json(report)}


async def _follow(transactions: Transactions, run_id: UUID, patience: float, *, quiet: bool) -> Run | None:
    """Show how far the run is until it is over; None when it is not over in time."""
    read_run = ReadRun(transactions)
    deadline = asyncio.get_running_loop().time() + patience
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        line = progress.add_task("waiting for recovery", total=None)
        total = await _waiting_tasks(transactions)
        while asyncio.get_running_loop().time() < deadline:
            run = await _look(read_run, run_id)
            if run is not None and run.is_over:
                return run
            if run is not None:
                found = run.results.total_found
                doing = "asking" if run.dry_run else "recovering"
                progress.update(line, description=doing, completed=found, total=max(total, found))
            await asyncio.sleep(0.25)
    return None


async def _waiting_tasks(transactions: Transactions) -> int:
    async with transactions.read() as reading:
        return int(
            await reading.value(
                "SELECT count(*) FROM tasks WHERE status = 'processing' AND next_check_at <= clock_timestamp()"
            )
        )


async def _look(read_run: ReadRun, run_id: UUID) -> Run | None:
    try:
        return await read_run(run_id)
    except TransientError as error:
        console.print(f"{error}; still waiting", style="yellow")
        return None


def _judge(run: Run | None, run_id: UUID, patience: float) -> None:
    if run is None:
        _end(
            f"Run {run_id} was not over after {patience:.0f} s. It goes on by itself if a recovery service is running.",
            EXIT_TIMED_OUT,
        )
    if run.status == "failed":
        _end(f"The run failed: {run.error_message}", EXIT_RUN_FAILED)
    if run.status != "completed":
        _end(f"The run was {run.status}: {run.error_message}", EXIT_BUSY)


def _end(sentence: str, code: int) -> NoReturn:
    typer.echo(f"backstop: {sentence}", err=True)
    raise SystemExit(code)
