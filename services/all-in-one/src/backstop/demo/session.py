"""One demo from start to end: sandbox, seeding, services, and what the terminal shows of it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from backstop.cli.output import console, local, runs_table
from backstop.composition import Running, all_services
from backstop.demo.proof import Finding, Proof
from backstop.demo.seeding import JOB, SeededTask, Seeding
from backstop.demo.story import SCENES
from backstop.embedded import data_folder, embedded_postgres, kept_secrets
from backstop_admin_api.application.list_runs import ListRuns
from backstop_admin_api.application.read_run import ReadRun
from backstop_admin_api.application.run import Run
from backstop_admin_api.application.wait_for_run import WaitForRun
from backstop_common.database import Transactions, create_engine
from backstop_common.database.migrating import migrate
from backstop_common.errors import ConfigurationError
from backstop_common.observability.logging import configure_logging
from backstop_sandbox import Sandbox, SandboxSettings, SettingError, providers_yaml
from backstop_scheduler.register_job import RegisterJob

_EVERY_TWENTY_SECONDS = "*/20 * * * * *"
_NEVER_DURING_THE_DEMO = "0 0 1 1 *"
_RUN_SECONDS = 120.0
_NEW_TASK_SECONDS = 6.0
_MOST_OPEN_TASKS = 30


def run_demo(*, once: bool) -> int:
    """Run the demo; the exit code is 0 when all that was promised held.

    Raises:
        ConfigurationError: a port is taken, or the data folder cannot be used.
    """
    folder = data_folder() / "demo"
    (folder / "assets").mkdir(parents=True, exist_ok=True)
    console.print("Starting an embedded PostgreSQL, the sandbox and the four services ...")
    with (folder / "backstop.log").open("a") as log:
        configure_logging(service="demo", output="json", stream=log)
        with embedded_postgres(folder) as database_url:
            return asyncio.run(_demo(folder, database_url, once=once))


async def _demo(folder: Path, database_url: str, *, once: bool) -> int:
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    schedule = _NEVER_DURING_THE_DEMO if once else _EVERY_TWENTY_SECONDS
    async with _sandbox(folder) as sandbox, _database(database_url) as transactions:
        await RegisterJob(transactions)(name=JOB, schedule=schedule, timezone="UTC")
        seeding = Seeding(transactions, sandbox)
        proof = Proof(transactions, sandbox.url, folder / "assets")
        mails_before, chats_before = await proof.counts()
        await seeding.people()
        tasks = await seeding.batch(SCENES)
        dead_run = await seeding.dead_run()
        overrides = _overrides(folder, sandbox, schedule)
        async with all_services(database_url, overrides) as running:
            session = _Session(transactions, running, sandbox, overrides["ADMIN_TOKEN"], folder, told_to_stop)
            if not once:
                return await session.watch(seeding)
            await session.wait_until_closed(dead_run)
            run = await session.run_once(tasks)
            with console.status("Looking for mails, alerts, assets and credits where they should be ..."):
                findings = await proof.findings(tasks, dead_run, mails_before=mails_before, chats_before=chats_before)
            return _report(run, findings, folder)


@asynccontextmanager
async def _sandbox(folder: Path) -> AsyncIterator[Sandbox]:
    """The outside world, with its memory of earlier demos."""
    try:
        settings = SandboxSettings.from_environment(
            {
                "SANDBOX_STATE_DIR": str(folder / "sandbox"),
                "SANDBOX_ASSETS_DIR": str(folder / "assets"),
                **{name: value for name, value in os.environ.items() if name.startswith("SANDBOX_")},
            }
        )
        sandbox = Sandbox(settings)
        await sandbox.start()
    except SettingError as error:
        raise ConfigurationError(str(error)) from None
    try:
        yield sandbox
    finally:
        await sandbox.stop()


@asynccontextmanager
async def _database(database_url: str) -> AsyncIterator[Transactions]:
    engine = create_engine(database_url, application_name="backstop-demo", pool_size=3)
    try:
        await migrate(engine)
        yield Transactions(engine)
    finally:
        await engine.dispose()


def _overrides(folder: Path, sandbox: Sandbox, schedule: str) -> dict[str, str]:
    """The settings of the demo: everything outside is the sandbox."""
    providers_file = folder / "providers.yaml"
    providers_file.write_text(providers_yaml(sandbox.url))
    address = sandbox.url.removeprefix("http://")
    key = "sandbox-key-that-opens-nothing"
    return {
        **kept_secrets(folder),
        "PROVIDERS_FILE": str(providers_file),
        "ALLOW_PRIVATE_HOSTS": f"{address},{address.replace('127.0.0.1', 'localhost')}",
        "REPLICATE_API_TOKEN": key,
        "FAL_KEY": key,
        "KIE_API_KEY": key,
        "ASSET_STORE_URL": (folder / "assets").as_uri(),
        "ASSETS_PUBLIC_BASE_URL": f"{sandbox.url}/assets",
        "BACKSTOP_ASSETS_LIBRARY_URL": sandbox.url,
        "APP_BASE_URL": f"http://127.0.0.1:{os.environ.get('BACKSTOP_PORT') or 8080}",
        "SMTP_URL": f"smtp://127.0.0.1:{sandbox.smtp_port}",
        "EMAIL_FROM": "Backstop demo <demo@example.com>",
        "SLACK_WEBHOOK_URL": f"{sandbox.url}/hooks/slack/ops",
        "DISCORD_WEBHOOK_URL": f"{sandbox.url}/hooks/discord/ops",
        "BACKSTOP_SCHEDULE": schedule,
        "BACKSTOP_SHORTEST_RECHECK_SECONDS": "10",
        "BACKSTOP_LONGEST_RECHECK_SECONDS": "40",
    }


@dataclass(frozen=True, slots=True)
class _Session:
    """The demo while it runs."""

    transactions: Transactions
    running: Running
    sandbox: Sandbox
    admin_token: str
    folder: Path
    told_to_stop: asyncio.Event

    async def wait_until_closed(self, run_id: UUID) -> None:
        """The run that died is closed by the watchdog; until then no other may start."""
        wait_for_run = WaitForRun(ReadRun(self.transactions))
        if await wait_for_run(run_id, seconds=_RUN_SECONDS, is_wanted=self._goes_on) is None:
            raise TimeoutError(f"run {run_id} was not closed within {_RUN_SECONDS:.0f} s")

    async def _goes_on(self) -> bool:
        return not self.told_to_stop.is_set()

    async def run_once(self, tasks: Sequence[SeededTask]) -> Run:
        """Press the button and watch the run."""
        async with httpx.AsyncClient(base_url=self.running.addresses["admin-api"], trust_env=False) as client:
            answer = await client.post(
                "/api/admin/trigger-cron", headers={"Authorization": f"Bearer {self.admin_token}"}
            )
        answer.raise_for_status()
        run_id = UUID(answer.json()["executionId"])
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        read_run = ReadRun(self.transactions)
        with Progress(*columns, console=console) as progress:
            line = progress.add_task("Recovering stuck tasks", total=len(tasks))
            async with asyncio.timeout(_RUN_SECONDS):
                while True:
                    run = await read_run(run_id)
                    if run is not None:
                        found = run.results.total_found
                        progress.update(line, completed=found, total=max(found, len(tasks)))
                        if run.is_over:
                            progress.update(line, total=found)
                            return run
                    await asyncio.sleep(0.1)

    async def watch(self, seeding: Seeding) -> int:
        """Tell where to look, keep new tasks coming, and print each run as it ends, until Ctrl-C."""
        self._tell()
        traffic = asyncio.create_task(self._traffic(seeding))
        try:
            await self._print_runs()
        finally:
            traffic.cancel()
            with suppress(asyncio.CancelledError):
                await traffic
        console.print("\nStopping. The data stays; `make demo` goes on where this ended.")
        return 0

    def _tell(self) -> None:
        dashboard = f"{self.running.addresses['admin-api']}/admin/cron-jobs"
        console.print(
            f"""
[bold]Backstop is running.[/] Every 20 seconds it looks for stuck tasks; a new one comes up every few seconds.

  Dashboard          [link={dashboard}]{dashboard}[/link]
  Admin token        {self.admin_token}
  Outside world      {self.sandbox.url}   (what providers, mailbox and chat saw)
  Log                {self.folder / "backstop.log"}

[bold]Try[/]
  - Log in to the dashboard and press "Trigger Now"; open a run to see each task and why it ended so.
  - Open the outside world and read the mails users got, and the alert about the run whose worker died.
  - BACKSTOP_DATA_DIR={self.folder} .venv/bin/backstop runs
  - curl -X PUT {self.sandbox.url}/control/providers/fal -d '{{"status": 503}}'   (fal is down; DELETE ends it)

Ctrl-C stops everything.
""",
            soft_wrap=True,
        )

    async def _traffic(self, seeding: Seeding) -> None:
        while True:
            await asyncio.sleep(_NEW_TASK_SECONDS)
            async with self.transactions.read() as reading:
                open_tasks = await reading.value("SELECT count(*) FROM tasks WHERE status = 'processing'")
            if open_tasks < _MOST_OPEN_TASKS:
                await seeding.batch([random.choice(SCENES)])  # noqa: S311 - which scene comes next is no secret

    async def _print_runs(self) -> None:
        earlier = await self._latest_runs()
        told = {run.id for run in earlier if run.is_over}
        while not self.told_to_stop.is_set():
            for run in reversed(await self._latest_runs()):
                if run.is_over and run.id not in told:
                    told.add(run.id)
                    console.print(_sentence(run), soft_wrap=True)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.told_to_stop.wait(), 1.0)

    async def _latest_runs(self) -> Sequence[Run]:
        return (await ListRuns(self.transactions)(job_name=JOB, status=None, limit=10, cursor=None)).runs


def _sentence(run: Run) -> str:
    counts = run.results
    what = "dry run" if run.dry_run else "run"
    told = f"{local(run.started_at)}  {what} {str(run.id)[:8]} {run.status}"
    if run.status == "completed":
        return (
            f"{told}: found {counts.total_found}, completed {counts.completed}, failed {counts.failed},"
            f" still processing {counts.still_processing}, errors {counts.errors}"
        )
    return f"{told}: {run.error_message}"


def _report(run: Run, findings: Sequence[Finding], folder: Path) -> int:
    console.print()
    console.print(runs_table([run]))
    console.print()
    for finding in findings:
        mark = "[green]yes[/]" if finding.holds else "[red]NO[/] "
        console.print(f"  {mark}  {finding.claim} [dim]({finding.counted})[/]", soft_wrap=True)
    holds = run.status == "completed" and all(finding.holds for finding in findings)
    console.print(
        "\n[bold green]All of it holds.[/] `make demo` shows the same world live, with its dashboard."
        if holds
        else f"\n[bold red]Not all of it holds.[/] The log is {folder / 'backstop.log'}."
    )
    return 0 if holds else 1
