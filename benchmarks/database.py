"""The backlog that each contestant gets, as a copy of its own, and the proof that it was recovered rightly.

`prove` raises `WrongResultError` with every sentence that is false: a wrong result has no speed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from backstop_common.database import create_engine
from backstop_common.database.migrating import migrate
from benchmarks.backstop import JOB
from tests.support.postgres import PostgresServer

_TASKS_PER_USER = 20
_CREDITS = 10
_TEMPLATE = "benchmark_backlog"
_COPY = "benchmark_contestant"

# $1 tasks, $2 tasks per user, $3 credits per task.
_USERS = """
    INSERT INTO users (id, name, email) SELECT 'user-' || n, 'User ' || n, 'user-' || n || '@example.com'
    FROM generate_series(0, ($1::int - 1) / $2::int) n
"""
_TASKS = """
    INSERT INTO tasks (id, user_id, kind, provider, provider_task_id, credits, billing, submitted_at, next_check_at)
    SELECT gen_random_uuid(), 'user-' || n / $2::int, 'image', 'replicate', 'r' || md5(n::text), $3,
        'hold', now() - interval '20 minutes' + n * interval '1 millisecond', now() - interval '10 minutes'
    FROM generate_series(0, $1::int - 1) n
"""
_MONEY = """
    INSERT INTO credit_accounts (user_id, balance, frozen_balance)
    SELECT user_id, 5 + sum(credits), sum(credits) FROM tasks GROUP BY user_id;

    INSERT INTO credit_transactions (id, user_id, kind, amount, balance_change, frozen_change, balance_after,
        frozen_after, reference_id)
    SELECT gen_random_uuid(), user_id, 'grant', balance, balance, 0, balance, 0, 'opening' FROM credit_accounts;

    INSERT INTO credit_transactions (id, user_id, task_id, kind, amount, balance_change, frozen_change,
        balance_after, frozen_after)
    SELECT gen_random_uuid(), user_id, t.id, 'hold', credits, 0, credits, balance,
        sum(credits) OVER (PARTITION BY user_id ORDER BY t.id)
    FROM tasks t JOIN credit_accounts USING (user_id);
"""

# Each counts tasks, and must find all of them.
_TRUTHS = {
    "every task is completed": "SELECT count(*) FROM tasks WHERE status = 'completed' AND finished_at IS NOT NULL",
    "every task is charged once": """
        SELECT count(*) FROM tasks t WHERE 1 = (
            SELECT count(*) FROM credit_transactions c
            WHERE c.task_id = t.id AND c.kind = 'charge' AND c.amount = t.credits)""",
    "balances add up to the ledger": """
        SELECT count(*) FROM tasks JOIN credit_accounts a USING (user_id) JOIN (
            SELECT user_id, sum(balance_change) AS balance, sum(frozen_change) AS frozen, min(balance_after) AS lowest,
                sum(amount) FILTER (WHERE kind = 'charge') AS spent
            FROM credit_transactions GROUP BY user_id) ledger USING (user_id)
        WHERE a.balance = ledger.balance AND a.balance = ledger.lowest AND a.frozen_balance = ledger.frozen
            AND a.frozen_balance = 0 AND a.total_spent = ledger.spent""",
}
_TRUTHS_OF_BACKSTOP = {
    "the timeline is complete": "SELECT count(*) / 2 FROM task_events WHERE kind IN ('checked', 'settled')",
    "the run has counted it": "SELECT sum((results ->> 'completed')::int)::int FROM cron_job_executions"
    " WHERE status = 'completed'",
}
_WAITING_EVENTS = "SELECT count(*) FROM outbox WHERE type = 'task.completed'"


class WrongResultError(Exception):
    """A contestant ended, but the backlog is not what it should be."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a contestant is held to. `relays`: the events have left the outbox."""

    tasks: int
    sha256: str
    is_backstop: bool
    relays: bool


async def prepare_backlog(server: PostgresServer, tasks: int) -> None:
    """Make the database that `copy_of_backlog` copies."""
    url = server.create_database(_TEMPLATE)
    engine = create_engine(url, application_name="benchmark")
    await migrate(engine)
    await engine.dispose()
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("INSERT INTO jobs (name, schedule) VALUES ($1, '*/10 * * * *')", JOB)
        await connection.execute(_USERS, tasks, _TASKS_PER_USER)
        await connection.execute(_TASKS, tasks, _TASKS_PER_USER, _CREDITS)
        await connection.execute(_MONEY)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


@contextmanager
def copy_of_backlog(server: PostgresServer) -> Iterator[str]:
    """The URL of a fresh copy, with nothing left for the server to write; it is dropped afterwards."""
    url = server.create_database(_COPY, template=_TEMPLATE)
    try:
        server.execute("CHECKPOINT")
        yield url
    finally:
        server.drop_database(_COPY)


def drop_backlog(server: PostgresServer) -> None:
    """Leave a server that was given as it was."""
    server.drop_database(_TEMPLATE)


async def prove(url: str, folder: Path, expected: Expected) -> None:
    """Hold a contestant's database and folder to what is expected.

    Raises:
        WrongResultError: with everything that is not true.
    """
    digests = _digests(folder)
    connection = await asyncpg.connect(url)
    try:
        truths = _TRUTHS | (_TRUTHS_OF_BACKSTOP if expected.is_backstop else {})
        found = {sentence: await connection.fetchval(question) for sentence, question in truths.items()}
        waiting = await connection.fetchval(_WAITING_EVENTS)
        known = {row["key"]: row["sha256"] for row in await connection.fetch("SELECT key, sha256 FROM task_assets")}
    finally:
        await connection.close()
    found["every file is stored whole"] = sum(digest == expected.sha256 for digest in digests.values())
    found["every event is in the outbox, or confirmed"] = expected.tasks - waiting if expected.relays else waiting
    if expected.is_backstop:
        found["every file is known with its digest"] = len(digests.items() & known.items())
    false = [f"{sentence}: {count} of {expected.tasks}" for sentence, count in found.items() if count != expected.tasks]
    if false:
        raise WrongResultError("; ".join(false))


def _digests(folder: Path) -> dict[str, str]:
    """Of every stored file, by key."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.png")
    }
