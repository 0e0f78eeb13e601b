"""`backstop hold`, as a person or a script calls it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys

from backstop_common.database import Transactions
from tests.support.factories import JOB, Factory
from tests.support.holds import lift, open_hold


async def _hold(database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "backstop", "hold", *arguments],
        env={"PATH": os.environ["PATH"], "DATABASE_URL": database_url, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


async def test_nothing_held_is_said_and_cannot_be_decided(database_url: str) -> None:
    shown = await _hold(database_url)
    assert (shown.returncode, shown.stdout.strip()) == (0, f"No failures of {JOB} are held.")
    assert (await _hold(database_url, "--json")).stdout.strip() == "null"
    assert (await _hold(database_url, "recheck", JOB, "--note", "why")).returncode == 1


async def test_a_hold_is_shown_and_decided(database_url: str, transactions: Transactions) -> None:
    await Factory(transactions).job()
    hold = await open_hold(transactions)
    shown = await _hold(database_url, JOB)
    assert "it would have failed 31 of 40 checked tasks" in " ".join(shown.stdout.split())
    assert "asset_lost" in shown.stdout
    told = json.loads((await _hold(database_url, JOB, "--json")).stdout)
    assert (told["id"], told["tasks"], told["creditsReturned"]) == (str(hold), 4, 40)

    decided = await _hold(database_url, "approve", JOB, "--note", "confirmed", "--yes", "--json")

    assert (decided.returncode, json.loads(decided.stdout)["decision"]) == (0, "approve"), decided.stderr
    async with transactions.read() as reading:
        body = json.loads(await reading.value("SELECT body FROM outbox WHERE type = 'hold.lift'"))
        action = await reading.value("SELECT action FROM audit_log")
    assert (body["hold_id"], body["note"], body["actor"][:4], action) == (
        str(hold),
        "confirmed",
        "cli:",
        "hold.approve",
    )


async def test_a_decision_needs_its_reason_and_an_approval_a_yes(database_url: str, transactions: Transactions) -> None:
    await Factory(transactions).job()
    hold = await open_hold(transactions)
    assert (await _hold(database_url, "recheck", JOB)).returncode == 2
    assert (await _hold(database_url, "approve", JOB, "--note", "why")).returncode == 1
    assert (await _hold(database_url, "reject", JOB, "--note", "why")).returncode == 2
    assert (await _hold(database_url, "aprove", "--note", "why", "--yes")).returncode == 2
    await lift(transactions, hold)
    late = await _hold(database_url, "recheck", JOB, "--note", "why")
    assert (late.returncode, "grace decided to recheck" in late.stderr) == (3, True)
    async with transactions.read() as reading:
        assert await reading.value("SELECT count(*) FROM outbox") == 0
