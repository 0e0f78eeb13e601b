"""`make claims`: what a claim costs at the beginning and at the end of a run over a backlog that stays open.

Recovery's own claims beside the plain statement that takes the first due tasks in one order, each on 200,000 tasks of
which every one is checked and still processing. The ratio of the last claims to the first is what counts: it is 1 where
claims do not grow. Our own PostgreSQL, loopback only; it is removed afterwards. No test and no check asserts a time.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from uuid import UUID, uuid4

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from backstop_common.database import Transactions, create_engine
from backstop_common.database.migrating import migrate
from backstop_recovery.application.claim_tasks import ClaimTasks
from backstop_recovery.application.schedule_first_checks import ScheduleFirstChecks
from backstop_recovery.domain.places import Places
from backstop_recovery.domain.walk import Walk
from tests.support import postgres
from tests.support.factories import Factory

_BATCH = 100
_AT_EACH_END = 20
_PROVIDERS = 4
_TASKS = """
    INSERT INTO tasks (id, user_id, kind, provider, provider_task_id, credits, billing, submitted_at)
    SELECT gen_random_uuid(), 'user-' || n % 5000, 'image', 'provider-' || n % :providers, n::text, 0, 'none',
        now() - make_interval(secs => 7200 - n * 0.001) FROM generate_series(1, :tasks) n
"""
_CHECKED = """
    UPDATE tasks SET lease_holder = NULL, lease_expires_at = NULL, check_count = check_count + 1,
        next_check_at = clock_timestamp() + interval '5 minutes'
"""
_FIRST = """
    WHERE id IN (SELECT id FROM tasks WHERE next_check_at <= clock_timestamp() ORDER BY submitted_at, id LIMIT :middle)
"""
_OLD_INDEX = """
    CREATE INDEX old ON tasks (output_deadline_at, submitted_at, id) WHERE status = 'processing'
"""
_OLD_CLAIM = """
    WITH run AS (SELECT horizon_at FROM cron_job_executions WHERE id = :run AND status = 'running'), due AS (
        SELECT id FROM tasks
        WHERE status = 'processing' AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
            AND next_check_at <= (SELECT horizon_at FROM run)
        ORDER BY output_deadline_at NULLS LAST, submitted_at, id LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    UPDATE tasks SET lease_holder = 'old', lease_expires_at = clock_timestamp() + interval '1 minute',
        fence = tasks.fence + 1, run_id = :run FROM due WHERE tasks.id = due.id RETURNING tasks.id
"""


@dataclass(slots=True)
class Walking:
    """Recovery's claims: each goes on behind the last one."""

    transactions: Transactions
    run: UUID
    walk: Walk

    async def claim(self) -> list[UUID]:
        claims = ClaimTasks(self.transactions, "benchmark", 60)
        claim = await claims.next_of_run(self.run, self.walk, Places(), limit=_BATCH)
        self.walk = claim.walk
        return [task.id for task in claim.tasks]


@dataclass(frozen=True, slots=True)
class OneOrder:
    """The plain statement: each claim starts at the first task that is open."""

    transactions: Transactions
    run: UUID

    async def claim(self) -> list[UUID]:
        async with self.transactions.begin() as tx:
            return [row["id"] for row in await tx.rows(_OLD_CLAIM, run=self.run, limit=_BATCH)]


async def _checked(transactions: Transactions, ids: Sequence[UUID]) -> None:
    async with transactions.begin() as tx:
        await tx.execute(_CHECKED + " WHERE id = ANY(CAST(:ids AS uuid[]))", ids=list(ids))


async def _timed(transactions: Transactions, contestant: Walking | OneOrder, times: int) -> list[float]:
    """Milliseconds of so many claims; that they are checked is not counted."""
    milliseconds = []
    for _ in range(times):
        began = perf_counter()
        ids = await contestant.claim()
        milliseconds.append((perf_counter() - began) * 1000)
        if len(ids) != _BATCH:
            raise AssertionError(f"a claim gave {len(ids)} tasks instead of {_BATCH}")
        await _checked(transactions, ids)
    return milliseconds


async def _new_backlog(transactions: Transactions, tasks: int) -> UUID:
    factory = Factory(transactions)
    async with transactions.begin() as tx:
        await tx.execute("TRUNCATE tasks, users CASCADE")
        await tx.execute("INSERT INTO users (id) SELECT 'user-' || n FROM generate_series(0, 4999) n")
        await tx.execute(_TASKS, tasks=tasks, providers=_PROVIDERS)
    began = perf_counter()
    await ScheduleFirstChecks(transactions, [], 600)()
    print(f"stamping {tasks:,} new tasks: {perf_counter() - began:.1f} s", file=sys.stderr)
    await _vacuum(transactions)
    return await factory.run(status="running", started_seconds_ago=0, job=f"job-{uuid4().hex[:6]}")


async def _vacuum(transactions: Transactions) -> None:
    async with transactions.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        await connection.exec_driver_sql("VACUUM ANALYZE tasks")


async def _walking(transactions: Transactions, tasks: int) -> tuple[list[float], list[float]]:
    contestant = Walking(transactions, await _new_backlog(transactions, tasks), Walk())
    milliseconds = await _timed(transactions, contestant, tasks // _BATCH)
    return milliseconds[:_AT_EACH_END], milliseconds[-_AT_EACH_END:]


async def _one_order(transactions: Transactions, tasks: int) -> tuple[list[float], list[float]]:
    """Its claims in between are left out: they are one statement that checks all but the last tasks."""
    contestant = OneOrder(transactions, await _new_backlog(transactions, tasks))
    async with transactions.begin() as tx:
        await tx.execute(_OLD_INDEX)
    first = await _timed(transactions, contestant, _AT_EACH_END)
    async with transactions.begin() as tx:
        await tx.execute(
            _CHECKED + _FIRST,
            middle=tasks - 2 * _AT_EACH_END * _BATCH,
        )
    await _vacuum(transactions)
    return first, await _timed(transactions, contestant, _AT_EACH_END)


async def _measure(url: str, tasks: int) -> None:
    engine = create_engine(url, application_name="benchmark", pool_size=1)
    await migrate(engine)
    transactions = Transactions(engine)
    print("| claims of 100 | first, ms | last, ms | last / first |")
    print("|---|--:|--:|--:|")
    for name, contest in (("behind the last one", _walking), ("in one order", _one_order)):
        first, last = (median(milliseconds) for milliseconds in await contest(transactions, tasks))
        print(f"| {name} | {first:.1f} | {last:.1f} | {last / first:.1f} |", flush=True)
    await engine.dispose()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog='make claims ARGS="..."', description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", type=int, default=200_000, help="open tasks, 4,000 at least (200000)")
    tasks = max(2 * _AT_EACH_END * _BATCH, parser.parse_args().tasks)
    server = postgres.start()
    try:
        asyncio.run(_measure(server.create_database("benchmark_claims"), tasks))
    finally:
        server.drop_database("benchmark_claims")
        server.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
