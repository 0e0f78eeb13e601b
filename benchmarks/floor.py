"""The floor: the least that a concurrent process can cost in Python, without any of the product's promises.

One asyncio process: aiohttp, as many tasks in flight as the product has, obstore for the files, and one statement per
100 tasks for state, balances, ledger and outbox. No leases, guards, digests, asset rows, timeline, metrics or retries.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import aiohttp
import asyncpg
import obstore
from obstore.store import LocalStore

from benchmarks.participant import GROUP_SIZE, TOKEN, Assignment, Work, take_part
from benchmarks.sequential import STUCK, event_body

_SETTLE = """
    WITH settled AS (
        UPDATE tasks SET status = 'completed', finished_at = now(), updated_at = now()
        WHERE id = ANY($1::uuid[]) AND status = 'processing' RETURNING id, user_id, credits
    ), spent AS (
        SELECT user_id, sum(credits)::bigint AS total FROM settled GROUP BY user_id
    ), account AS (
        UPDATE credit_accounts a SET balance = balance - total, frozen_balance = frozen_balance - total,
            total_spent = total_spent + total, updated_at = now()
        FROM spent WHERE a.user_id = spent.user_id
        RETURNING a.user_id, a.balance + total AS balance, a.frozen_balance + total AS frozen
    ), ledger AS (
        INSERT INTO credit_transactions (id, user_id, task_id, kind, amount, balance_change, frozen_change,
            balance_after, frozen_after)
        SELECT gen_random_uuid(), s.user_id, s.id, 'charge', credits, -credits, -credits,
            balance - sum(credits) OVER each_user, frozen - sum(credits) OVER each_user
        FROM settled s JOIN account USING (user_id) WINDOW each_user AS (PARTITION BY s.user_id ORDER BY s.id)
    )
    INSERT INTO outbox (event_id, type, body) SELECT event_id, 'task.completed', body
    FROM unnest($2::uuid[], $3::text[]) AS event (event_id, body)
"""


@dataclass(slots=True)
class _Settling:
    """Collects what is done; whoever makes a group full settles it."""

    connection: asyncpg.Connection
    done: list[tuple[asyncpg.Record, str]] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def add(self, task: asyncpg.Record, key: str) -> None:
        self.done.append((task, key))
        if len(self.done) >= GROUP_SIZE:
            await self.flush()

    async def flush(self) -> None:
        group, self.done = self.done, []
        async with self.lock:
            await self._settle(group)

    async def _settle(self, group: Sequence[tuple[asyncpg.Record, str]]) -> None:
        await self.connection.execute(
            _SETTLE,
            [task["id"] for task, _ in group],
            [uuid4() for _ in group],
            [event_body(task, key) for task, key in group],
        )


@asynccontextmanager
async def prepare(assignment: Assignment) -> AsyncIterator[Work]:
    """One database connection, one HTTP session, one store."""
    connection = await asyncpg.connect(assignment.database_url)
    store = LocalStore(assignment.folder)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def work() -> None:
            settling = _Settling(connection)
            tasks = iter(await connection.fetch(STUCK))
            async with asyncio.TaskGroup() as group:
                for _ in range(assignment.concurrency):
                    group.create_task(_recover_all(tasks, settling, session, store, assignment.provider_url))
            await settling.flush()

        yield work
    await connection.close()


async def _recover_all(
    tasks: Iterator[asyncpg.Record],
    settling: _Settling,
    session: aiohttp.ClientSession,
    store: LocalStore,
    provider_url: str,
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for task in tasks:
        address = f"{provider_url}/v1/predictions/{task['provider_task_id']}"
        async with session.get(address, headers=headers, raise_for_status=True) as answer:
            prediction = await answer.json()
        async with session.get(prediction["output"][0], raise_for_status=True) as file:
            content = await file.read()
        key = f"{task['id']}.png"
        await obstore.put_async(store, key, content)
        await settling.add(task, key)


if __name__ == "__main__":
    take_part(prepare)
