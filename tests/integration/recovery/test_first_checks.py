"""A new task becomes stuck after the threshold of its provider and kind, whoever inserted it."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from backstop_common.database import Transactions
from backstop_recovery.application.schedule_first_checks import Patience, ScheduleFirstChecks
from tests.support.factories import Factory


@pytest.fixture
def schedule(transactions: Transactions) -> ScheduleFirstChecks:
    patience = [Patience("bfl", "image", 120, 600), Patience("bfl", "video", 300, None)]
    return ScheduleFirstChecks(transactions, patience, stuck_after_seconds=900)


async def _insert(transactions: Transactions, provider: str, kind: str) -> UUID:
    """As an app would with one SQL statement: it knows nothing of checks."""
    user = await Factory(transactions).user()
    task = uuid4()
    async with transactions.begin() as tx:
        await tx.execute(
            "INSERT INTO tasks (id, user_id, kind, provider, provider_task_id, credits, billing)"
            " VALUES (:id, :user, :kind, :provider, :ref, 0, 'none')",
            id=task,
            user=user,
            kind=kind,
            provider=provider,
            ref=str(task),
        )
    return task


async def _seconds(transactions: Transactions, task: UUID) -> tuple[float, float | None]:
    """First check and output deadline, in seconds from submission."""
    async with transactions.read() as reading:
        row = await reading.row(
            "SELECT extract(epoch FROM next_check_at - submitted_at)::float AS first,"
            " extract(epoch FROM output_deadline_at - submitted_at)::float AS deadline FROM tasks WHERE id = :id",
            id=task,
        )
    assert row is not None
    return row["first"], row["deadline"]


@pytest.mark.parametrize(
    ("provider", "kind", "expected"),
    [("bfl", "image", (120, 600)), ("bfl", "video", (300, None)), ("replicate", "video", (900, None))],
)
async def test_a_new_task_gets_the_threshold_of_its_provider_and_kind(
    transactions: Transactions,
    schedule: ScheduleFirstChecks,
    provider: str,
    kind: str,
    expected: tuple[float, float | None],
) -> None:
    task = await _insert(transactions, provider, kind)
    assert await schedule() == 1
    assert await _seconds(transactions, task) == expected


async def test_a_task_is_stamped_once(transactions: Transactions, schedule: ScheduleFirstChecks) -> None:
    await _insert(transactions, "bfl", "image")
    assert [await schedule(), await schedule()] == [1, 0]


async def test_what_the_app_has_set_is_kept(transactions: Transactions, schedule: ScheduleFirstChecks) -> None:
    task = await _insert(transactions, "bfl", "image")
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET output_deadline_at = submitted_at + interval '42 seconds'")
    await schedule()
    assert await _seconds(transactions, task) == (120, 42)
