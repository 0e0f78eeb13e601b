"""The baseline: the cron endpoint that recovery replaces, one task after the other.

Per task: GET the status, GET the whole file into memory, write it, one transaction with state, balance, ledger and
outbox row. It has none of the product's guards, leases, digests, asset rows, timeline, metrics or logs.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx

from benchmarks.participant import TOKEN, Assignment, Work, take_part

STUCK = (
    "SELECT id, user_id, provider_task_id, credits FROM tasks"
    " WHERE status = 'processing' AND next_check_at <= now() ORDER BY submitted_at, id"
)


@asynccontextmanager
async def prepare(assignment: Assignment) -> AsyncIterator[Work]:
    """One database connection and one HTTP client with its pool."""
    connection = await asyncpg.connect(assignment.database_url)
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:

        async def work() -> None:
            for task in await connection.fetch(STUCK):
                await _recover(task, connection, client, assignment)

        yield work
    await connection.close()


async def _recover(
    task: asyncpg.Record, connection: asyncpg.Connection, client: httpx.AsyncClient, assignment: Assignment
) -> None:
    answer = await client.get(
        f"{assignment.provider_url}/v1/predictions/{task['provider_task_id']}",
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    prediction = answer.raise_for_status().json()
    if prediction["status"] != "succeeded":
        return
    file = (await client.get(prediction["output"][0])).raise_for_status()
    path = Path(assignment.folder, f"{task['id']}.png")
    path.write_bytes(file.content)  # noqa: ASYNC240 - nobody else waits for this loop
    async with connection.transaction():
        await _settle(task, connection, path.name)


async def _settle(task: asyncpg.Record, connection: asyncpg.Connection, key: str) -> None:
    await connection.execute(
        "UPDATE tasks SET status = 'completed', finished_at = now(), updated_at = now()"
        " WHERE id = $1 AND status = 'processing'",
        task["id"],
    )
    account = await connection.fetchrow(
        "UPDATE credit_accounts SET balance = balance - $2, frozen_balance = frozen_balance - $2,"
        " total_spent = total_spent + $2, updated_at = now() WHERE user_id = $1 RETURNING balance, frozen_balance",
        task["user_id"],
        task["credits"],
    )
    assert account is not None
    await connection.execute(
        "INSERT INTO credit_transactions (id, user_id, task_id, kind, amount, balance_change, frozen_change,"
        " balance_after, frozen_after) VALUES ($1, $2, $3, 'charge', $4, -$4::bigint, -$4::bigint, $5, $6)",
        uuid4(),
        task["user_id"],
        task["id"],
        task["credits"],
        account["balance"],
        account["frozen_balance"],
    )
    await connection.execute(
        "INSERT INTO outbox (event_id, type, body) VALUES ($1, 'task.completed', $2)",
        uuid4(),
        event_body(task, key),
    )


def event_body(task: asyncpg.Record, key: str) -> str:
    """What the outside is told."""
    return json.dumps(
        {"task_id": str(task["id"]), "user_id": task["user_id"], "credits_charged": task["credits"], "key": key}
    )


if __name__ == "__main__":
    take_part(prepare)
