"""One user's flood of tasks keeps nobody waiting: the first hundred of each user come before a hundred-and-first."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from backstop_common.database import Transactions
from backstop_recovery.application.schedule_first_checks import Patience, ScheduleFirstChecks
from tests.support.factories import Factory
from tests.support.recovery import RecoveryUnderTest

_INSERT = """
    INSERT INTO tasks (id, user_id, kind, provider, provider_task_id, credits, billing, submitted_at)
    SELECT gen_random_uuid(), :user, 'image', :provider, gen_random_uuid()::text, 0, 'none',
        clock_timestamp() - make_interval(secs => :age) + n * interval '1 microsecond'
    FROM generate_series(1, :count) n
"""


async def _submit(
    transactions: Transactions, user: str, count: int, *, provider: str = "kie", age_seconds: float = 3600
) -> None:
    async with transactions.begin() as tx:
        await tx.execute("INSERT INTO users (id) VALUES (:id) ON CONFLICT DO NOTHING", id=user)
        await tx.execute(_INSERT, user=user, provider=provider, count=count, age=float(age_seconds))


async def _turns(transactions: Transactions, user: str, provider: str = "kie") -> list[int]:
    """Of all tasks of a user at a provider, oldest first."""
    async with transactions.read() as reading:
        rows = await reading.rows(
            "SELECT turn FROM tasks WHERE user_id = :user AND provider = :provider ORDER BY submitted_at, id",
            user=user,
            provider=provider,
        )
    return [row["turn"] for row in rows]


@pytest.fixture
def schedule(transactions: Transactions) -> ScheduleFirstChecks:
    return ScheduleFirstChecks(transactions, [], stuck_after_seconds=600)


async def test_thirty_tasks_of_ten_users_are_claimed_among_the_first_while_another_has_two_thousand(
    transactions: Transactions, schedule: ScheduleFirstChecks
) -> None:
    await Factory(transactions).job()
    await _submit(transactions, "flood", 2000, age_seconds=7200)
    for number in range(10):
        await _submit(transactions, f"user-{number}", 3)
    assert await schedule() == 2030

    worker = RecoveryUnderTest(transactions)
    claimed = await worker.claim_tasks.for_run(await worker.start_run(), limit=130)

    assert Counter(task.user_id for task in claimed) == {"flood": 100} | {f"user-{number}": 3 for number in range(10)}


async def test_each_hundred_open_tasks_are_a_turn(transactions: Transactions, schedule: ScheduleFirstChecks) -> None:
    await _submit(transactions, "flood", 250)
    await schedule()
    assert await _turns(transactions, "flood") == [0] * 100 + [1] * 100 + [2] * 50


async def test_a_later_stamping_goes_on_where_the_last_one_stopped(
    transactions: Transactions, schedule: ScheduleFirstChecks
) -> None:
    for age in (5000, 4000, 3000):
        await _submit(transactions, "flood", 90, age_seconds=age)
        await schedule()
    assert await _turns(transactions, "flood") == [0] * 100 + [1] * 100 + [2] * 70


async def test_a_stamping_in_pieces_gives_the_same_turns(transactions: Transactions) -> None:
    await _submit(transactions, "flood", 250)
    await _submit(transactions, "ada", 5)
    assert await ScheduleFirstChecks(transactions, [], 600, chunk=60)() == 255
    assert await _turns(transactions, "flood") == [0] * 100 + [1] * 100 + [2] * 50
    assert await _turns(transactions, "ada") == [0] * 5


async def test_what_is_finished_counts_no_more(transactions: Transactions, schedule: ScheduleFirstChecks) -> None:
    await _submit(transactions, "flood", 150, age_seconds=5000)
    await schedule()
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET status = 'failed', finished_at = now()")
    await _submit(transactions, "flood", 10, age_seconds=3000)
    await schedule()
    assert (await _turns(transactions, "flood"))[-10:] == [0] * 10


async def test_every_provider_counts_for_itself(transactions: Transactions, schedule: ScheduleFirstChecks) -> None:
    await _submit(transactions, "flood", 150, provider="kie")
    await _submit(transactions, "flood", 50, provider="fal")
    await schedule()
    assert set(await _turns(transactions, "flood", "fal")) == {0}


async def test_within_a_turn_outputs_that_expire_first_come_first(transactions: Transactions) -> None:
    await Factory(transactions).job()
    await _submit(transactions, "ada", 3, age_seconds=3000)
    await _submit(transactions, "bob", 2, age_seconds=2000)
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET kind = 'video' WHERE user_id = 'bob'")
    await ScheduleFirstChecks(transactions, [Patience("kie", "video", 600, 600)], 600)()
    worker = RecoveryUnderTest(transactions)
    claimed = await worker.claim_tasks.for_run(await worker.start_run(), limit=5)
    assert [task.user_id for task in claimed] == ["bob", "bob", "ada", "ada", "ada"]


async def test_two_stampings_at_once_stamp_every_task_once(
    transactions: Transactions, schedule: ScheduleFirstChecks
) -> None:
    await _submit(transactions, "flood", 300)
    assert sum(await asyncio.gather(*(schedule() for _ in range(4)))) == 300
    assert await _turns(transactions, "flood") == [0] * 100 + [1] * 100 + [2] * 100


BATCHES = st.lists(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["kie", "fal"]), st.integers(1, 130)), max_size=3),
    min_size=1,
    max_size=4,
)


@given(batches=BATCHES, chunk=st.sampled_from([7, 100, 10_000]))
@settings(
    max_examples=15,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_however_they_come_the_nth_open_task_of_a_user_has_the_turn_of_n(
    transactions: Transactions, batches: list[list[tuple[str, str, int]]], chunk: int
) -> None:
    async with transactions.begin() as tx:
        await tx.execute("TRUNCATE tasks, users CASCADE")
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for number, batch in enumerate(batches):
        for user, provider, count in batch:
            await _submit(transactions, user, count, provider=provider, age_seconds=9000 - number * 1000)
            counts[user, provider] += count
        await ScheduleFirstChecks(transactions, [], 600, chunk=chunk)()
    for (user, provider), count in counts.items():
        assert await _turns(transactions, user, provider) == list(_expected(count))


def _expected(count: int) -> Iterable[int]:
    return (n // 100 for n in range(count))
