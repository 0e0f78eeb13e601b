"""The explorer itself: it finds what is known to be broken, and leaves out only orders that make no difference."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.support.interleaving.experiment import experiment
from tests.support.interleaving.scenario import Action, Plan, Results, Scenario, Setting
from tests.support.interleaving.stage import DeadlockError
from tests.support.interleaving.steps import Schema
from tests.support.recovery import RecoveryUnderTest


def _spend(user: str, amount: int, *, lock: str) -> Action:
    """Read, calculate, write back: right with a lock, a lost update without."""

    async def work(worker: RecoveryUnderTest) -> None:
        async with worker.transactions.begin() as tx:
            balance = await tx.value(f"SELECT balance FROM credit_accounts WHERE user_id = :u{lock}", u=user)  # noqa: S608
            await tx.execute("UPDATE credit_accounts SET balance = :b WHERE user_id = :u", b=balance - amount, u=user)

    return work


def _lock(*users: str) -> Action:
    async def work(worker: RecoveryUnderTest) -> None:
        async with worker.transactions.begin() as tx:
            for user in users:
                await tx.execute("SELECT 1 FROM credit_accounts WHERE user_id = :u FOR UPDATE", u=user)

    return work


def _two(first: Action, second: Action, check: Callable[[Setting], Awaitable[None]] | None = None) -> Scenario:
    async def prepare(setting: Setting) -> Plan:
        for user in ("ada", "bob"):
            await setting.factory.user(user, balance=0)

        async def checked(_: Results) -> None:
            if check is not None:
                await check(setting)

        return Plan(first, second, checked)

    return Scenario("two actors of a test", prepare)


async def test_a_lost_update_is_found(database_url: str) -> None:
    async def both_spent(setting: Setting) -> None:
        assert await setting.value("SELECT balance FROM credit_accounts WHERE user_id = 'ada'") == 0

    scenario = _two(_spend("ada", 1, lock=""), _spend("ada", -1, lock=""), both_spent)
    async with experiment(scenario, database_url) as trial:
        trial.asked = {}
        with pytest.raises(AssertionError, match="first: SELECT balance"):
            await trial.every_order()


async def test_a_deadlock_is_found_without_waiting_for_the_server_to_find_it(database_url: str) -> None:
    async with experiment(_two(_lock("ada", "bob"), _lock("bob", "ada")), database_url) as trial:
        with pytest.raises(DeadlockError, match="both wait for each other"):
            await trial.every_order()


async def test_locks_in_one_order_pass(database_url: str) -> None:
    async with experiment(_two(_lock("ada", "bob"), _lock("ada", "bob")), database_url) as trial:
        explored = await trial.every_order()
    assert explored.is_complete
    assert explored.schedules > 1


async def test_all_orders_of_independent_statements_are_one(database_url: str) -> None:
    def read(table: str) -> Action:
        async def work(worker: RecoveryUnderTest) -> None:
            async with worker.transactions.begin() as tx:
                for _ in range(3):
                    await tx.execute(f"SELECT 1 FROM {table}")  # noqa: S608

        return work

    async with experiment(_two(read("users"), read("tasks")), database_url) as trial:
        assert (await trial.every_order()).schedules == 1


@pytest.mark.parametrize(("statements", "orders"), [(1, 6), (2, 20)])
async def test_without_the_reduction_every_order_of_n_and_n_steps_is_tried(
    database_url: str, statements: int, orders: int
) -> None:
    def read(worker: RecoveryUnderTest) -> Awaitable[None]:
        async def work() -> None:
            async with worker.transactions.begin() as tx:
                for _ in range(statements):
                    await tx.execute("SELECT 1 FROM users")

        return work()

    async with experiment(_two(read, read), database_url) as trial:
        assert (await trial.every_order(most_preemptions=99)).schedules == orders


async def test_the_reduction_leaves_out_no_outcome(database_url: str) -> None:
    """With and without it, the same balances come out of two actors that overwrite each other now and then."""
    outcomes: dict[bool, set[int]] = {True: set(), False: set()}
    reduced = True

    async def note(setting: Setting) -> None:
        outcomes[reduced].add(await setting.value("SELECT balance FROM credit_accounts WHERE user_id = 'ada'"))

    scenario = _two(_spend("ada", -1, lock=""), _spend("ada", -2, lock=""), note)
    async with experiment(scenario, database_url) as trial:
        trial.asked = {}
        few = await trial.every_order()
        reduced = False
        all_of_them = await trial.every_order(most_preemptions=99)
    assert outcomes[True] == outcomes[False] == {1, 2, 3}
    assert few.schedules < all_of_them.schedules


async def test_a_crash_before_the_commit_leaves_nothing_and_after_it_everything(database_url: str) -> None:
    balances = []

    scenario = _two(_spend("ada", -5, lock=" FOR UPDATE"), _lock("bob"))
    async with experiment(scenario, database_url) as trial:
        for position in range(4):
            await trial.cut(actor=0, position=position)
            balances.append(await trial.setting.value("SELECT balance FROM credit_accounts WHERE user_id = 'ada'"))
    assert balances == [0, 0, 0, 5]


def test_an_insert_touches_the_tables_its_foreign_keys_name() -> None:
    schema = Schema({"tasks": frozenset({"users"}), "users": frozenset()})
    assert schema.step("INSERT INTO tasks (id) VALUES ($1)").written == {"tasks", "users"}
    assert schema.step("SELECT id FROM tasks").written == frozenset()
    assert schema.step("SELECT id FROM tasks FOR UPDATE").written == {"tasks"}
