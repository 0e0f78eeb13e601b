"""A claim visits as many rows at the end of a huge run as at its beginning, and walking leaves nothing behind.

Rows are counted by PostgreSQL itself, so that nothing here depends on how fast a machine is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from backstop_common.database import Transactions, create_engine
from backstop_recovery.application.claim_tasks import ClaimTasks
from backstop_recovery.application.measure_backlog import MeasureBacklog
from backstop_recovery.application.metrics import OLDEST_STUCK, STUCK
from backstop_recovery.application.schedule_first_checks import ScheduleFirstChecks
from backstop_recovery.domain.places import Places, Room
from backstop_recovery.domain.walk import Walk
from tests.support.backlogs import add_backlog
from tests.support.factories import Factory
from tests.support.recovery import RecoveryUnderTest

_BATCH = 100
_CHECKED = """
    UPDATE tasks SET lease_holder = NULL, lease_expires_at = NULL, check_count = check_count + 1,
        next_check_at = clock_timestamp() + interval '5 minutes' WHERE id = ANY(CAST(:ids AS uuid[]))
"""


@pytest.fixture
async def transactions(database_url: str) -> AsyncIterator[Transactions]:
    """One connection: it can tell what it has visited."""
    engine = create_engine(database_url, application_name="tests", pool_size=1)
    yield Transactions(engine)
    await engine.dispose()


async def _backlog(transactions: Transactions, **counts: int) -> UUID:
    await Factory(transactions).job()
    await add_backlog(transactions, **counts)
    return await RecoveryUnderTest(transactions).start_run()


async def _visited(transactions: Transactions) -> int:
    """Rows of `tasks` that were looked at until now, by index or not."""
    async with transactions.begin() as tx:
        await tx.value("SELECT pg_stat_force_next_flush()")
    async with transactions.begin() as tx:
        return int(
            await tx.value(
                "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = 'tasks'"
            )
        )


async def _still_processing(transactions: Transactions, ids: list[UUID]) -> None:
    async with transactions.begin() as tx:
        await tx.execute(_CHECKED, ids=ids)


def _claims(transactions: Transactions, *, lease_seconds: float = 60) -> ClaimTasks:
    return ClaimTasks(transactions, "worker", lease_seconds, clock=lambda: 0.0)


@pytest.mark.parametrize("with_statistics", [True, False], ids=["analysed", "never analysed"])
async def test_the_hundredth_claim_visits_no_more_rows_than_the_first_although_all_stay_open(
    transactions: Transactions, *, with_statistics: bool
) -> None:
    run = await _backlog(transactions, kie=20_000)
    if with_statistics:
        async with transactions.begin() as tx:
            await tx.execute("ANALYZE tasks")
    claims, walk, visited, seen = _claims(transactions), Walk(), [], set()
    for _ in range(20_000 // _BATCH):
        before = await _visited(transactions)
        claim = await claims.next_of_run(run, walk, Places(), limit=_BATCH)
        visited.append(await _visited(transactions) - before)
        walk = claim.walk
        seen |= {task.id for task in claim.tasks}
        await _still_processing(transactions, [task.id for task in claim.tasks])

    assert len(seen) == 20_000
    assert visited[0] < 5 * _BATCH
    assert max(visited[1:]) <= visited[0], visited
    assert (await claims.next_of_run(run, walk, Places(), limit=_BATCH)).tasks == []


async def test_the_end_of_a_run_is_found_without_passing_over_what_stays_open(transactions: Transactions) -> None:
    run = await _backlog(transactions, kie=5_000)
    claims = _claims(transactions)
    claim = await claims.next_of_run(run, Walk(), Places(), limit=6_000)
    await _still_processing(transactions, [task.id for task in claim.tasks])
    await claims.next_of_run(run, claim.walk, Places(), limit=_BATCH)
    before = await _visited(transactions)
    assert (await claims.next_of_run(run, claim.walk, Places(), limit=_BATCH)).tasks == []
    assert await _visited(transactions) - before < 10


async def test_what_a_dead_worker_held_is_found_behind_the_walk(transactions: Transactions) -> None:
    run = await _backlog(transactions, kie=300, fal=300)
    dead = await _claims(transactions, lease_seconds=0).next_of_run(run, Walk(), Places(), limit=40)
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET lease_expires_at = now() + interval '1 h' WHERE lease_holder IS NOT NULL")
    claims, walk, seen = _claims(transactions), Walk(), set()
    while (claim := await claims.next_of_run(run, walk, Places(), limit=_BATCH)).tasks:
        walk = claim.walk
        seen |= {task.id for task in claim.tasks}
        await _still_processing(transactions, [task.id for task in claim.tasks])
    held = {task.id for task in dead.tasks}
    assert len(seen) == 560
    assert not seen & held

    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET lease_expires_at = now() - interval '1 s' WHERE lease_holder IS NOT NULL")
    found = await claims.next_of_run(run, walk, Places(), limit=_BATCH)
    assert {task.id for task in found.tasks} == held


async def test_what_one_provider_leaves_behind_does_not_wait_for_the_walk_of_another(
    transactions: Transactions,
) -> None:
    run = await _backlog(transactions, slow=5_000, quick=1)
    now = [0.0]
    claims = ClaimTasks(transactions, "worker", 60, clock=lambda: now[0])
    places = Places(lambda provider, held: Room((3 if provider == "slow" else 50) - held))
    claim = await claims.next_of_run(run, Walk(), places, limit=10)
    for task in claim.tasks:
        places.take(task.provider)
    assert Counter(task.provider for task in claim.tasks) == {"slow": 3, "quick": 1}
    late = await Factory(transactions).task(provider="quick")
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET next_check_at = now() - interval '1 hour' WHERE id = :id", id=late)

    assert (await claims.next_of_run(run, claim.walk, places, limit=10)).tasks == []
    now[0] = 1.5
    before = await _visited(transactions)
    assert [task.id for task in (await claims.next_of_run(run, claim.walk, places, limit=10)).tasks] == [late]
    assert await _visited(transactions) - before < 10


async def test_new_tasks_are_stamped_without_a_look_at_other_peoples_backlogs(transactions: Transactions) -> None:
    await _backlog(transactions, kie=20_000)
    await Factory(transactions).task(provider="kie")
    async with transactions.begin() as tx:
        await tx.execute("ANALYZE tasks")
        await tx.execute("UPDATE tasks SET next_check_at = NULL WHERE user_id <> 'ada'")
    before = await _visited(transactions)
    assert await ScheduleFirstChecks(transactions, [], 600)() == 1
    assert await _visited(transactions) - before < 20


async def test_stamping_many_new_tasks_visits_each_a_few_times_in_a_table_that_was_never_analysed(
    transactions: Transactions,
) -> None:
    async with transactions.begin() as tx:
        await tx.execute("INSERT INTO users (id) SELECT 'user-' || n FROM generate_series(0, 999) n")
    await add_backlog(transactions, kie=3_000, fal=1_000)
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET next_check_at = NULL, user_id = 'user-' || floor(random() * 1000)")
    before = await _visited(transactions)
    assert await ScheduleFirstChecks(transactions, [], 600, chunk=1_000)() == 4_000
    assert await _visited(transactions) - before < 10 * 4_000


async def test_the_gauges_look_at_what_is_stuck_and_not_at_all_that_is_open(transactions: Transactions) -> None:
    await _backlog(transactions, gauged=5_000)
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET next_check_at = now() + interval '1 hour'")
        await tx.execute("ANALYZE tasks")
    await add_backlog(transactions, other=3)
    before = await _visited(transactions)
    await MeasureBacklog(transactions)()
    assert await _visited(transactions) - before < 10
    gauges = {name: STUCK.labels(provider=name)._value.get() for name in ("gauged", "other")}
    assert gauges == {"gauged": 0, "other": 3}
    assert OLDEST_STUCK.labels(provider="other")._value.get() >= 7199
