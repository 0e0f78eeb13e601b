"""Dry runs on the command line: asked for, followed, and reported to people and programs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys

from backstop_common.database import Transactions
from tests.support.believable_dry_runs import dry_run
from tests.support.dry_runs import DryRunner
from tests.support.factories import JOB, Factory
from tests.support.polling import eventually
from tests.support.recovery import ScriptedProviders


async def _backstop(database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "backstop", *arguments],
        env={"PATH": os.environ["PATH"], "DATABASE_URL": database_url, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_a_dry_run_is_followed_to_its_end_and_reported(database_url: str, transactions: Transactions) -> None:
    factory = Factory(transactions)
    await factory.job()
    await factory.task(provider="fal", credits=10)
    await factory.task(provider="kie", credits=3)
    dry = DryRunner(transactions, ScriptedProviders())
    asking = asyncio.create_task(_backstop(database_url, "trigger", JOB, "--dry-run", "--wait", "--json"))

    async def is_due() -> bool:
        async with transactions.read() as reading:
            return bool(await reading.value("SELECT count(*) FROM ticks WHERE dry_run AND slot LIKE 'dry-run:%'"))

    _: bool = await eventually(is_due, within=30)
    await dry.start_pending()
    await dry.work()
    finished = await asking

    assert finished.returncode == 0, finished.stderr
    told = json.loads(finished.stdout)
    assert (told["dryRun"], told["status"], told["report"]["creditsCharged"]) == (True, "completed", 13)
    async with transactions.read() as reading:
        assert await reading.value("SELECT count(*) FROM tasks WHERE status = 'processing'") == 2


async def test_a_dry_run_is_not_in_the_way_of_a_run(database_url: str, transactions: Transactions) -> None:
    await Factory(transactions).job()
    first = await _backstop(database_url, "trigger", JOB, "--dry-run")
    second = await _backstop(database_url, "trigger", JOB, "--dry-run")
    real = await _backstop(database_url, "trigger", JOB)
    assert (first.returncode, second.returncode, real.returncode) == (0, 3, 0)
    assert first.stdout.startswith("Dry run ")
    assert "Dry run" in second.stderr


async def test_the_report_fits_eighty_columns_and_says_that_nothing_was_changed(
    database_url: str, transactions: Transactions
) -> None:
    run = await dry_run(transactions, would_stop=True)
    shown = await _backstop(database_url, "run", str(run)[:8])
    assert shown.returncode == 0, shown.stderr
    assert "Dry run: nothing was changed, files were not fetched." in shown.stdout
    assert "This would stop" in shown.stdout
    assert "3 without a file" in shown.stdout
    assert "timed_out" in shown.stdout
    assert "10 released" in shown.stdout
    assert max(len(line) for line in shown.stdout.splitlines()) <= 80


async def test_the_list_marks_dry_runs(database_url: str, transactions: Transactions) -> None:
    await dry_run(transactions)
    listed = await _backstop(database_url, "runs")
    as_json = json.loads((await _backstop(database_url, "runs", "--json")).stdout)
    assert "dry run" in listed.stdout
    assert [run["dryRun"] for run in as_json] == [True]
