"""The command line: JSON that programs can read, and one sentence when something is not there."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from backstop_common.database import Transactions
from tests.support.factories import JOB, Factory


async def _backstop(database_url: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "backstop", *arguments],
        env={"PATH": os.environ["PATH"], "DATABASE_URL": database_url, "COLUMNS": "100", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_a_database_that_is_not_there_is_one_sentence_from_every_command(tmp_path: Path) -> None:
    nowhere = "postgresql://somebody:hunter2@127.0.0.1:1/backstop"
    for command in (["up"], ["migrate"], ["runs"], ["jobs"], ["tick", JOB], ["trigger", JOB]):
        finished = await _backstop(
            nowhere,
            *command,
            BACKSTOP_START_TIMEOUT_SECONDS="0.1",
            ASSET_STORE_URL="memory:///",
            BACKSTOP_DATA_DIR=str(tmp_path),
        )
        last = finished.stderr.strip().splitlines()[-1]
        assert finished.returncode == 2, command
        assert last.startswith("backstop: DATABASE_URL: nothing answers at 127.0.0.1:1"), command
        assert "Traceback" not in finished.stderr + finished.stdout
        assert "hunter2" not in finished.stderr + finished.stdout


async def test_triggering_prints_json_and_nothing_else(database_url: str, transactions: Transactions) -> None:
    await Factory(transactions).job()
    first = await _backstop(database_url, "trigger", JOB, "--json")
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["jobName"] == JOB
    assert first.stderr == ""


async def test_a_second_trigger_is_refused_and_points_to_the_first(
    database_url: str, transactions: Transactions
) -> None:
    await Factory(transactions).job()
    first = json.loads((await _backstop(database_url, "trigger", JOB, "--json")).stdout)
    second = await _backstop(database_url, "trigger", JOB)
    assert second.returncode == 3
    assert first["id"] in second.stderr


async def test_the_same_idempotency_key_is_the_same_run(database_url: str, transactions: Transactions) -> None:
    await Factory(transactions).job()
    answers = [await _backstop(database_url, "trigger", JOB, "--key", "once", "--json") for _ in range(2)]
    assert len({json.loads(answer.stdout)["id"] for answer in answers}) == 1


async def test_a_tick_that_nobody_takes_is_told_in_time(database_url: str, transactions: Transactions) -> None:
    await Factory(transactions).job()
    finished = await _backstop(database_url, "tick", JOB, "--wait", "--timeout", "1")
    assert finished.returncode == 4
    assert "was not over after 1 s" in finished.stderr


async def test_runs_are_listed_as_json(database_url: str, transactions: Transactions) -> None:
    run = await Factory(transactions).run(results={"completed": 3, "failed": 1, "totalFound": 4})
    listed = json.loads((await _backstop(database_url, "runs", "--json")).stdout)
    assert [entry["id"] for entry in listed] == [str(run)]
    assert listed[0]["results"]["completed"] == 3


async def test_a_job_that_does_not_exist_is_named(database_url: str) -> None:
    finished = await _backstop(database_url, "tick", "no-such-job")
    assert finished.returncode == 1
    assert "no-such-job" in finished.stderr
