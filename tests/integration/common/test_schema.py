"""The schema in the database is the one in the code, and its constraints refuse what must never be true."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from backstop_common.database import Transactions
from backstop_common.database.migrating import check, current_revision, migrate, newest_revision
from backstop_common.database.owners import OWNERS
from backstop_common.database.tables import metadata
from tests.support.factories import Factory


@pytest.fixture
def factory(transactions: Transactions) -> Factory:
    return Factory(transactions)


async def test_the_migrated_schema_is_the_one_in_the_code(transactions: Transactions) -> None:
    async with transactions.engine.connect() as connection:
        await connection.run_sync(check)


async def test_the_migrated_constraints_and_indexes_are_those_in_the_code(transactions: Transactions) -> None:
    migrated = await _constraints_and_indexes(transactions)
    async with transactions.engine.begin() as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))
        await connection.run_sync(metadata.create_all)
    assert migrated == await _constraints_and_indexes(transactions)


async def _constraints_and_indexes(transactions: Transactions) -> set[str]:
    """What alembic's own comparison leaves out: the checks, and the definitions of indexes to the letter."""
    async with transactions.read() as reading:
        rows = await reading.rows(
            "SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) AS line FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace AND conrelid <> 0 UNION ALL SELECT indexdef FROM pg_indexes"
            " WHERE schemaname = 'public'"
        )
    return {row["line"] for row in rows if "alembic_version" not in row["line"]}


async def test_migrating_twice_changes_nothing(transactions: Transactions) -> None:
    await migrate(transactions.engine)
    assert await current_revision(transactions.engine) == newest_revision()


def test_every_table_has_an_owner() -> None:
    assert set(OWNERS) == set(metadata.tables)


async def _refused(transactions: Transactions, sql: str, **parameters: object) -> str:
    with pytest.raises(IntegrityError) as caught:
        async with transactions.begin() as tx:
            await tx.execute(sql, **parameters)
    return str(caught.value)


async def test_a_second_settlement_of_a_task_is_refused(transactions: Transactions, factory: Factory) -> None:
    user = await factory.user()
    task = await factory.task(user)
    sql = (
        "INSERT INTO credit_transactions (id, user_id, task_id, kind, amount, balance_change, frozen_change,"
        " balance_after, frozen_after) VALUES (gen_random_uuid(), :user, :task, :kind, 10, :change, -10, 90, 0)"
    )
    async with transactions.begin() as tx:
        await tx.execute(sql, user=user, task=task, kind="charge", change=-10)
    assert "settlement" in await _refused(transactions, sql, user=user, task=task, kind="release", change=0)


async def test_frozen_credits_cannot_exceed_the_balance(transactions: Transactions, factory: Factory) -> None:
    user = await factory.user(balance=5)
    message = await _refused(
        transactions, "UPDATE credit_accounts SET frozen_balance = 6 WHERE user_id = :user", user=user
    )
    assert "frozen_balance" in message


async def test_half_a_lease_is_refused(transactions: Transactions, factory: Factory) -> None:
    task = await factory.task()
    message = await _refused(transactions, "UPDATE tasks SET lease_holder = 'x' WHERE id = :id", id=task)
    assert "lease_as_a_whole" in message


async def test_a_final_task_cannot_hold_a_lease(transactions: Transactions, factory: Factory) -> None:
    task = await factory.task()
    message = await _refused(
        transactions,
        "UPDATE tasks SET status = 'completed', finished_at = now(), lease_holder = 'x', lease_expires_at = now()"
        " WHERE id = :id",
        id=task,
    )
    assert "lease_only_while_processing" in message


async def test_two_runs_of_one_tick_are_refused(transactions: Transactions, factory: Factory) -> None:
    job = await factory.job()
    async with transactions.begin() as tx:
        await tx.execute(
            "INSERT INTO ticks (id, job_name, slot, trigger, scheduled_for)"
            " VALUES ('00000000-0000-0000-0000-000000000001', :job, 's', 'manual', now())",
            job=job,
        )
    first, second = await factory.run(), await factory.run()
    sql = "UPDATE cron_job_executions SET tick_id = '00000000-0000-0000-0000-000000000001' WHERE id = :id"
    async with transactions.begin() as tx:
        await tx.execute(sql, id=first)
    assert "tick_id" in await _refused(transactions, sql, id=second)


async def test_two_ticks_of_one_slot_are_refused(transactions: Transactions, factory: Factory) -> None:
    job = await factory.job()
    sql = (
        "INSERT INTO ticks (id, job_name, slot, trigger, scheduled_for)"
        " VALUES (gen_random_uuid(), :job, 'slot', 'schedule', now())"
    )
    async with transactions.begin() as tx:
        await tx.execute(sql, job=job)
    assert "slot" in await _refused(transactions, sql, job=job)


async def test_counts_are_added_and_start_at_zero(transactions: Transactions) -> None:
    async with transactions.read() as reading:
        counts = await reading.value("""SELECT add_counts('{"a": 1, "b": 2}'::jsonb, '{"b": 3, "c": 4}'::jsonb)""")
        unchanged = await reading.value("""SELECT add_counts('{"a": 1}'::jsonb, '{}'::jsonb)""")
    assert counts == {"a": 1, "b": 5, "c": 4}
    assert unchanged == {"a": 1}
