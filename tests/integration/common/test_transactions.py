"""A transaction commits as a whole or not at all, a reading changes nothing, and a lost connection is only a delay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from uuid import uuid4

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError

from backstop_common.contracts import RunSweep
from backstop_common.database import Transaction, Transactions, create_engine
from backstop_common.errors import TransientError
from tests.support.factories import Factory


@dataclass
class Commits:
    count: int = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def commits() -> Commits:
    return Commits()


@pytest.fixture
def watched(transactions: Transactions, commits: Commits) -> Transactions:
    return replace(transactions, has_messages=commits)


@pytest.fixture
async def single(database_url: str) -> AsyncIterator[Transactions]:
    """A pool of one connection, so that every block uses the same one."""
    engine = create_engine(database_url, application_name="tests", pool_size=1)
    yield Transactions(engine)
    await engine.dispose()


async def _insert(tx: Transaction, name: str = "j") -> None:
    await tx.execute("INSERT INTO jobs (name, schedule) VALUES (:name, '* * * * *')", name=name)


async def _jobs(transactions: Transactions) -> int:
    async with transactions.read() as reading:
        return int(await reading.value("SELECT count(*) FROM jobs"))


async def _kill(transactions: Transactions, pid: int) -> None:
    async with transactions.begin() as other:
        assert await other.value("SELECT pg_terminate_backend(:pid, 5000)", pid=pid)


async def _fail_after_insert(transactions: Transactions) -> None:
    async with transactions.begin() as tx:
        await _insert(tx)
        await tx.publish(RunSweep(run_id=uuid4(), bell=0), event_id=uuid4())
        raise RuntimeError("changed my mind")


async def test_a_commit_with_messages_is_told_once_and_only_afterwards(watched: Transactions, commits: Commits) -> None:
    async with watched.begin() as tx:
        await _insert(tx)
        for bell in range(3):
            await tx.publish(RunSweep(run_id=uuid4(), bell=bell), event_id=uuid4())
        assert commits.count == 0
    assert commits.count == 1
    assert await _jobs(watched) == 1


async def test_a_commit_without_messages_tells_nobody(watched: Transactions, commits: Commits) -> None:
    async with watched.begin() as tx:
        await _insert(tx)
        await tx.publish_all([])
    assert commits.count == 0


async def test_an_exception_rolls_back_state_and_messages_and_tells_nobody(
    watched: Transactions, commits: Commits
) -> None:
    with pytest.raises(RuntimeError, match="changed my mind"):
        await _fail_after_insert(watched)
    assert commits.count == 0
    assert await _jobs(watched) == 0
    async with watched.read() as reading:
        assert await reading.value("SELECT count(*) FROM outbox") == 0


async def test_a_cancellation_rolls_back_and_tells_nobody(watched: Transactions, commits: Commits) -> None:
    inserted = asyncio.Event()

    async def insert_and_wait() -> None:
        async with watched.begin() as tx:
            await _insert(tx)
            await tx.publish(RunSweep(run_id=uuid4(), bell=0), event_id=uuid4())
            inserted.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(insert_and_wait())
    await asyncio.wait_for(inserted.wait(), 10)
    task.cancel()
    await asyncio.wait([task], timeout=10)
    assert task.cancelled()
    assert (commits.count, await _jobs(watched)) == (0, 0)


async def test_a_reading_cannot_write(transactions: Transactions) -> None:
    with pytest.raises(DBAPIError, match="read-only transaction"):
        async with transactions.read() as reading:
            await reading.rows("INSERT INTO jobs (name, schedule) VALUES ('j', '* * * * *') RETURNING name")
    assert await _jobs(transactions) == 0


async def test_a_connection_that_was_read_on_can_write_again(single: Transactions) -> None:
    await _jobs(single)
    async with single.begin() as tx:
        assert await tx.value("SHOW transaction_isolation") == "read committed"
        await _insert(tx)
    assert await _jobs(single) == 1


async def test_all_statements_of_a_reading_see_one_moment(transactions: Transactions) -> None:
    async with transactions.read() as reading:
        before = await reading.value("SELECT count(*) FROM jobs")
        async with transactions.begin() as tx:
            await _insert(tx)
        assert await reading.value("SELECT count(*) FROM jobs") == before == 0


async def _lose_the_connection(transactions: Transactions, *, at_commit: bool = False) -> None:
    async with transactions.begin() as tx:
        await _insert(tx)
        await tx.publish(RunSweep(run_id=uuid4(), bell=0), event_id=uuid4())
        await _kill(transactions, await tx.value("SELECT pg_backend_pid()"))
        if not at_commit:
            await tx.value("SELECT 1")


async def test_a_connection_lost_between_statements_is_transient_and_nothing_is_committed(
    watched: Transactions, commits: Commits
) -> None:
    with pytest.raises(TransientError, match="database"):
        await _lose_the_connection(watched)
    assert commits.count == 0
    async with watched.begin() as tx:
        await _insert(tx)
    assert await _jobs(watched) == 1


async def test_a_connection_lost_before_the_commit_is_transient(transactions: Transactions) -> None:
    with pytest.raises(TransientError):
        await _lose_the_connection(transactions, at_commit=True)
    assert await _jobs(transactions) == 0


async def _lose_the_connection_while_reading(transactions: Transactions) -> None:
    async with transactions.read() as reading:
        await _kill(transactions, await reading.value("SELECT pg_backend_pid()"))
        await reading.value("SELECT 1")


async def test_a_connection_lost_while_a_reading_waits_is_transient(transactions: Transactions) -> None:
    with pytest.raises(TransientError):
        await _lose_the_connection_while_reading(transactions)


async def test_a_connection_that_died_in_the_pool_is_replaced_unseen(
    single: Transactions, transactions: Transactions
) -> None:
    async with single.read() as reading:
        pid = await reading.value("SELECT pg_backend_pid()")
    await _kill(transactions, pid)
    assert await _jobs(single) == 0


async def _take_too_long(transactions: Transactions) -> None:
    async with transactions.begin() as tx:
        await tx.execute("SET LOCAL statement_timeout = '20ms'")
        await tx.value("SELECT pg_sleep(5)")


async def test_a_cancelled_statement_is_transient(transactions: Transactions) -> None:
    with pytest.raises(TransientError):
        await _take_too_long(transactions)


async def test_the_loser_of_a_deadlock_is_transient_and_the_winner_commits(transactions: Transactions) -> None:
    async with transactions.begin() as tx:
        await _insert(tx, "a")
        await _insert(tx, "b")
    both_hold_one = asyncio.Barrier(2)

    async def lock(first: str, second: str) -> None:
        async with transactions.begin() as tx:
            await tx.execute("UPDATE jobs SET pause_note = :n WHERE name = :n", n=first)
            await asyncio.wait_for(both_hold_one.wait(), 10)
            await tx.execute("UPDATE jobs SET pause_note = :n WHERE name = :other", n=first, other=second)

    results = await asyncio.gather(lock("a", "b"), lock("b", "a"), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["NoneType", "TransientError"]


async def test_a_pool_without_free_connections_is_transient(database_url: str) -> None:
    engine = create_engine(database_url, application_name="tests", pool_size=1)
    engine.pool._max_overflow = 0  # type: ignore[attr-defined]
    engine.pool._timeout = 0.05  # type: ignore[attr-defined]
    transactions = Transactions(engine)
    try:
        async with transactions.read():
            with pytest.raises(TransientError, match="not reachable"):
                await _jobs(transactions)
    finally:
        await engine.dispose()


async def test_nothing_listening_is_transient() -> None:
    engine = create_engine("postgresql://u:canary-4711@127.0.0.1:1/db", application_name="tests")
    with pytest.raises(TransientError, match="not reachable") as caught:
        await _jobs(Transactions(engine))
    assert "canary-4711" not in str(caught.value)


async def test_a_broken_rule_of_the_schema_is_not_transient(transactions: Transactions) -> None:
    async with transactions.begin() as tx:
        await _insert(tx)
    with pytest.raises(IntegrityError):
        async with transactions.begin() as tx:
            await _insert(tx)


async def test_a_message_is_seen_for_the_first_time_once_per_consumer(transactions: Transactions) -> None:
    event = uuid4()
    async with transactions.begin() as tx:
        assert await tx.first_time("recovery.tick.due", event)
        assert not await tx.first_time("recovery.tick.due", event)
        assert await tx.first_time("notifier.tick.due", event)
    async with transactions.begin() as tx:
        assert not await tx.first_time("recovery.tick.due", event)


async def _first_time_and_fail(transactions: Transactions, event: object) -> None:
    async with transactions.begin() as tx:
        assert await tx.first_time("recovery.tick.due", event)  # type: ignore[arg-type]
        raise RuntimeError("changed my mind")


async def test_a_first_time_that_was_rolled_back_comes_again(transactions: Transactions) -> None:
    event = uuid4()
    with pytest.raises(RuntimeError):
        await _first_time_and_fail(transactions, event)
    async with transactions.begin() as tx:
        assert await tx.first_time("recovery.tick.due", event)


async def test_two_deliveries_at_once_work_once(transactions: Transactions) -> None:
    event = uuid4()

    async def deliver() -> bool:
        async with transactions.begin() as tx:
            first = await tx.first_time("recovery.tick.due", event)
            await tx.value("SELECT pg_sleep(0.05)")
            return first

    assert sorted(await asyncio.gather(*(deliver() for _ in range(5)))) == [False] * 4 + [True]


async def test_messages_leave_in_the_order_they_were_published(transactions: Transactions) -> None:
    runs = [uuid4() for _ in range(50)]
    async with transactions.begin() as tx:
        for bell, run in enumerate(runs):
            await tx.publish(RunSweep(run_id=run, bell=bell), event_id=run)
    async with transactions.read() as reading:
        rows = await reading.rows("SELECT event_id FROM outbox ORDER BY id")
    assert [row["event_id"] for row in rows] == runs


async def test_one_statement_for_many_rows_and_none_for_no_rows(transactions: Transactions) -> None:
    await Factory(transactions).job("j")
    async with transactions.begin() as tx:
        await tx.execute_many("UPDATE jobs SET pause_note = :note WHERE name = :name", [])
        await tx.execute_many(
            "UPDATE jobs SET pause_note = :note WHERE name = :name", [{"note": str(n), "name": "j"} for n in range(3)]
        )
        assert await tx.value("SELECT pause_note FROM jobs") == "2"


async def test_a_delayed_message_may_leave_after_its_delay_and_the_others_at_once(transactions: Transactions) -> None:
    async with transactions.begin() as tx:
        await tx.publish(RunSweep(run_id=uuid4(), bell=0), event_id=uuid4(), delay_seconds=60)
        await tx.publish(RunSweep(run_id=uuid4(), bell=1), event_id=uuid4())
    async with transactions.read() as reading:
        rows = await reading.rows(
            "SELECT extract(epoch FROM not_before - created_at)::float AS delay FROM outbox ORDER BY id"
        )
    assert rows[0]["delay"] == pytest.approx(60, abs=1)
    assert rows[1]["delay"] <= 0
