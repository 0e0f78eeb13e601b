"""Kills and outages in the middle of a run: every task is settled once, the run finishes, every event arrives."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from backstop_common.database import Transactions
from tests.support.factories import Factory
from tests.support.polling import eventually
from tests.support.postgres import PostgresServer
from tests.support.rabbitmq import RabbitServer
from tests.support.recovery import broken_truths
from tests.support.system import System, running_system

LEASES = {
    "BACKSTOP_LEASE_SECONDS": "5",
    "BACKSTOP_DELIVERY_LEASE_SECONDS": "10",
    "RECOVERY_CONCURRENCY": "4",
    "BACKSTOP_RUN_SILENT_AFTER_SECONDS": "60",
}


@pytest.fixture
def tasks_of_a_run(request: pytest.FixtureRequest) -> int:
    """Short by default; the full suite has a longer run to hit."""
    return 400 if request.config.getoption("--faults-full") else 60


async def _seed(system: System, transactions: Transactions, count: int) -> None:
    factory = Factory(transactions)
    users = [await factory.user(f"user-{number}", balance=count * 10) for number in range(5)]
    scripts: list[dict[str, object]] = []
    for number in range(count):
        provider = ("replicate", "fal", "kie")[number % 3]
        behaviour = "failed" if number % 10 == 9 else "succeeded"
        scripts.append({"provider": provider, "id": f"g-{number}", "kind": "image", "behaviour": behaviour})
        await factory.task(
            users[number % 5],
            provider=provider,
            provider_task_id=f"g-{number}",
            kind="image",
            credits=5,
            metadata={"app": "fal-ai/sandbox"},
        )
    await system.script(*scripts)


async def _trigger(system: System) -> str:
    async with system.admin() as admin:
        answer = await admin.post("/api/admin/trigger-cron")
    assert answer.status_code == 202, answer.text
    return str(answer.json()["executionId"])


async def _settled(transactions: Transactions) -> int:
    async with transactions.read() as reading:
        return int(await reading.value("SELECT count(*) FROM tasks WHERE status <> 'processing'"))


async def _prove(system: System, transactions: Transactions, run_id: str, count: int) -> None:
    """What holds after every disturbance, looked up outside the product."""
    run = await eventually(lambda: _ended(transactions, run_id), within=60, what="the end of the run")
    failed = count // 10
    assert run["status"] == "completed"
    mails = await eventually(lambda: _mails(system, count), within=60, what=f"{count} mails")
    assert len(mails) == count
    assert await _settled(transactions) == count
    async with transactions.read() as reading:
        settlements = await reading.value(
            "SELECT count(*) FROM credit_transactions WHERE kind IN ('charge', 'release', 'refund')"
        )
        completed = await reading.value("SELECT count(*) FROM tasks WHERE status = 'completed'")
        assets = await reading.rows("SELECT key FROM task_assets")
    assert settlements == count
    assert completed == count - failed
    assert run["results"]["totalFound"] == count
    assert all((system.assets_folder / row["key"]).is_file() for row in assets)
    assert await broken_truths(transactions) == {}
    await eventually(lambda: _nothing_left(transactions), within=30, what="an empty outbox")


async def _ended(transactions: Transactions, run_id: str) -> Any:
    async with transactions.read() as reading:
        return await reading.row(
            "SELECT status, results, error_message FROM cron_job_executions WHERE id = :id AND status <> 'running'",
            id=run_id,
        )


async def _mails(system: System, count: int) -> Any:
    mails = (await system.get("/control/mails"))["mails"]
    return mails if len(mails) >= count else None


async def _nothing_left(transactions: Transactions) -> bool:
    async with transactions.read() as reading:
        return await reading.value("SELECT count(*) FROM outbox") == 0


async def test_recovery_killed_in_the_middle_of_a_sweep_settles_every_task_once(
    tmp_path: Path, database_url: str, amqp_url: str, transactions: Transactions, tasks_of_a_run: int
) -> None:
    async with running_system(tmp_path, database_url, amqp_url, **LEASES) as system:
        await _seed(system, transactions, tasks_of_a_run)
        run_id = await _trigger(system)
        for share in (0.2, 0.5):
            wanted = int(tasks_of_a_run * share)
            await eventually(lambda: _at_least(transactions, wanted), within=30)  # noqa: B023 - awaited in this turn
            system.processes["recovery"].kill()
            assert await _settled(transactions) < tasks_of_a_run, "the kill came too late to prove anything"
            system.processes["recovery"].start()
        await system.processes["recovery"].wait_until_ready()
        await _prove(system, transactions, run_id, tasks_of_a_run)


async def _at_least(transactions: Transactions, count: int) -> bool:
    return await _settled(transactions) >= count


async def test_a_broker_that_is_away_during_a_run_loses_nothing(
    tmp_path: Path,
    database_url: str,
    amqp_url: str,
    rabbit_server: RabbitServer,
    transactions: Transactions,
    tasks_of_a_run: int,
    request: pytest.FixtureRequest,
) -> None:
    away_seconds = 30.0 if request.config.getoption("--faults-full") else 8.0
    async with running_system(tmp_path, database_url, amqp_url, **LEASES) as system:
        await _seed(system, transactions, tasks_of_a_run)
        run_id = await _trigger(system)
        await eventually(lambda: _at_least(transactions, 5), within=30)
        await asyncio.to_thread(rabbit_server.stop)
        try:
            await _away(away_seconds)
            assert all(process.is_alive() for process in system.processes.values())
        finally:
            await asyncio.to_thread(rabbit_server.start)
        await _prove(system, transactions, run_id, tasks_of_a_run)


async def test_a_database_that_crashes_during_a_run_loses_nothing(
    tmp_path: Path,
    database_url: str,
    amqp_url: str,
    postgres_server: PostgresServer,
    transactions: Transactions,
    tasks_of_a_run: int,
) -> None:
    async with running_system(tmp_path, database_url, amqp_url, **LEASES) as system:
        await _seed(system, transactions, tasks_of_a_run)
        run_id = await _trigger(system)
        await eventually(lambda: _at_least(transactions, 5), within=30)
        await asyncio.to_thread(postgres_server.stop_hard)
        try:
            await _away(4.0)
            assert all(process.is_alive() for process in system.processes.values())
        finally:
            await asyncio.to_thread(postgres_server.start_again)
        await transactions.engine.dispose()
        await _prove(system, transactions, run_id, tasks_of_a_run)


async def test_a_notifier_killed_at_random_moments_sends_no_mail_twice(
    tmp_path: Path, database_url: str, amqp_url: str, transactions: Transactions, tasks_of_a_run: int
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    moments = random.Random(seed)
    async with running_system(tmp_path, database_url, amqp_url, **LEASES) as system:
        await _seed(system, transactions, tasks_of_a_run)
        await _trigger(system)
        for _ in range(3):
            await _away(moments.uniform(0.3, 1.5))
            system.processes["notifier"].kill()
            system.processes["notifier"].start()
            await system.processes["notifier"].wait_until_ready()
        await eventually(lambda: _deliveries_over(transactions, tasks_of_a_run), within=90, what="all deliveries")
        mails = (await system.get("/control/mails"))["mails"]
        identities = [mail["message_id"] for mail in mails]
        async with transactions.read() as reading:
            uncertain = await reading.value("SELECT count(*) FROM deliveries WHERE state = 'uncertain'")
        assert len(identities) == len(set(identities))
        assert tasks_of_a_run - uncertain <= len(identities) <= tasks_of_a_run


async def _deliveries_over(transactions: Transactions, count: int) -> bool:
    async with transactions.read() as reading:
        over = await reading.value(
            "SELECT count(*) FROM deliveries WHERE channel = 'email' AND state IN ('sent', 'uncertain')"
        )
    return int(over) == count


async def _away(seconds: float) -> None:
    """The length of a disturbance: it is what the test is about, not a wait for something."""
    await asyncio.sleep(seconds)
