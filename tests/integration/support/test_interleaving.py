"""The explorer itself: it finds what is known to be broken, and leaves out only orders that make no difference."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from tests.support.interleaving.experiment import experiment
from tests.support.interleaving.scenario import Action, Plan, Results, Scenario, Setting
from tests.support.interleaving.stage import DeadlockError
from tests.support.interleaving.steps import Schema, Step
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


SCHEMA = Schema(
    {"tasks": frozenset({"users"}), "users": frozenset(), "outbox": frozenset()}, counted=frozenset({"outbox"})
)


def _may_change_places(first: str, second: str, *ids: UUID) -> bool:
    """The two statements, each with an id where two are given."""
    one, two = ids or ((), ())
    return SCHEMA.step(first, [one]).may_change_places_with(SCHEMA.step(second, [two]))


@pytest.mark.parametrize(
    ("first", "second", "free"),
    [
        ("SELECT 1 FROM tasks", "UPDATE tasks SET fence = 1", True),
        ("SELECT 1 FROM tasks FOR UPDATE", "UPDATE tasks SET fence = 1", False),
        ("UPDATE users SET name = ''", "UPDATE tasks SET fence = 1", True),
        ("INSERT INTO tasks (id) VALUES ($1)", "SELECT 1 FROM users FOR UPDATE", False),
        ("INSERT INTO tasks (id) VALUES ($1)", "INSERT INTO tasks (id) VALUES ($1)", False),
        ("INSERT INTO outbox (body) VALUES ($1)", "INSERT INTO outbox (body) VALUES ($1)", True),
    ],
)
def test_statements_change_places_only_where_no_row_is_between_them(first: str, second: str, free: bool) -> None:
    assert _may_change_places(first, second) is free
    assert _may_change_places(second, first) is free


def test_the_same_statement_changes_places_when_it_names_other_rows_and_does_not_look_for_them_itself() -> None:
    one, two = UUID(int=1), UUID(int=2)
    update, claim = "UPDATE tasks SET fence = 1 WHERE id = $1", "SELECT 1 FROM tasks FOR UPDATE SKIP LOCKED"
    assert _may_change_places(update, update, one, two)
    assert not _may_change_places(update, update, one, one)
    assert not _may_change_places(claim, claim, one, two)


def test_the_end_of_a_transaction_stays_on_its_side_of_whoever_reads_what_it_wrote() -> None:
    commit = Step("COMMIT", written=frozenset({"tasks"}), ends=True)
    assert not commit.may_change_places_with(SCHEMA.step("SELECT 1 FROM tasks"))
    assert commit.may_change_places_with(SCHEMA.step("SELECT 1 FROM outbox"))
