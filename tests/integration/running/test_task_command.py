"""`backstop task`, as a person at a terminal and a script call it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from uuid import uuid4

from backstop_common.database import Transactions
from tests.support.factories import Factory


async def _task(database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "backstop", "task", *arguments],
        env={"PATH": os.environ["PATH"], "DATABASE_URL": database_url, "COLUMNS": "80"},
        input="",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_a_task_is_shown_with_its_story(database_url: str, transactions: Transactions) -> None:
    task = await Factory(transactions).task(await Factory(transactions).user("ada"))
    async with transactions.begin() as tx:
        await tx.execute("INSERT INTO task_events (task_id, kind) VALUES (:id, 'registered')", id=task)
    shown = await _task(database_url, str(task))
    assert shown.returncode == 0, shown.stderr
    assert "video of ada: processing" in shown.stdout
    assert "registered" in shown.stdout
    told = json.loads((await _task(database_url, str(task), "--json")).stdout)
    assert (told["id"], told["userId"], told["credits"]) == (str(task), "ada", 10)


async def test_what_others_wrote_is_shown_as_they_wrote_it_and_moves_nothing_in_the_terminal(
    database_url: str, transactions: Transactions
) -> None:
    task = await Factory(transactions).task(await Factory(transactions).user("auth0|[/x]"))
    async with transactions.begin() as tx:
        await tx.execute(
            "UPDATE tasks SET provider_task_id = '[red]p[/]', failure_message = E'no \\x1b[2J' WHERE id = :id", id=task
        )
        await tx.execute(
            "INSERT INTO task_events (task_id, kind, detail) VALUES (:id, 'checked', CAST(:detail AS jsonb))",
            id=task,
            detail=json.dumps({"note": "[/b] \x1b]0;title\x07"}),
        )
    shown = await _task(database_url, str(task))
    assert shown.returncode == 0, shown.stderr
    assert "video of auth0|[/x]: processing" in shown.stdout
    assert "[red]p[/]" in shown.stdout
    assert "[/b]" in shown.stdout
    assert "\x1b" not in shown.stdout


async def test_failing_a_task_asks_first_and_is_requested_with_yes(
    database_url: str, transactions: Transactions
) -> None:
    task = await Factory(transactions).task()
    asked = await _task(database_url, str(task), "--action", "fail")
    assert asked.returncode == 1
    assert "tell the user?" in asked.stdout + asked.stderr
    done = await _task(database_url, str(task), "--action", "fail", "--yes", "--note", "asked for")
    assert (done.returncode, "was requested" in done.stdout) == (0, True), done.stderr
    async with transactions.read() as reading:
        bodies = await reading.rows("SELECT body FROM outbox WHERE type = 'task.act'")
    assert [json.loads(row["body"])["note"] for row in bodies] == ["asked for"]


async def test_what_cannot_be_done_has_its_exit_code(database_url: str, transactions: Transactions) -> None:
    assert (await _task(database_url, str(uuid4()))).returncode == 1
    task = await Factory(transactions).task(billing="none")
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET status = 'failed', finished_at = now()")
    ended = await _task(database_url, str(task), "--action", "recover")
    assert (ended.returncode, ended.stderr) == (3, "backstop: The task is failed already, and stays so.\n")
    assert (await _task(database_url, "not-an-id")).returncode == 2
