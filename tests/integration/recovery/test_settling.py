"""Money and state move together, once, and only for whoever holds the newest claim."""

from __future__ import annotations

import asyncio
import json
from uuid import UUID

import pytest

from backstop_common.database import Transactions
from backstop_recovery.domain.decision import Policy
from backstop_recovery.domain.resolution import Resolution
from backstop_recovery.domain.verdict import Cancelled, Expired, Failed, StillRunning, Unknown, UnknownReason
from tests.support.factories import Factory
from tests.support.recovery import RecoveryUnderTest, broken_truths


@pytest.fixture
async def factory(transactions: Transactions) -> Factory:
    factory = Factory(transactions)
    await factory.job()
    return factory


@pytest.fixture
def recovery(transactions: Transactions) -> RecoveryUnderTest:
    return RecoveryUnderTest(transactions)


async def _account(transactions: Transactions, user: str) -> tuple[int, int, int]:
    async with transactions.read() as reading:
        row = await reading.row(
            "SELECT balance, frozen_balance, total_spent FROM credit_accounts WHERE user_id = :u", u=user
        )
    assert row is not None
    return row["balance"], row["frozen_balance"], row["total_spent"]


async def _status(transactions: Transactions, task: UUID) -> str:
    async with transactions.read() as reading:
        return str(await reading.value("SELECT status FROM tasks WHERE id = :id", id=task))


async def _events(transactions: Transactions, event_type: str) -> list[dict[str, object]]:
    async with transactions.read() as reading:
        rows = await reading.rows("SELECT body FROM outbox WHERE type = :type ORDER BY id", type=event_type)
    return [json.loads(row["body"]) for row in rows]


async def _claim_and_resolve(recovery: RecoveryUnderTest, run: UUID) -> list[Resolution]:
    tasks = await recovery.claim_tasks.for_run(run, limit=100)
    return [await recovery.resolve_task(task) for task in tasks]


async def test_a_completed_task_is_charged_and_its_asset_recorded(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    user = await factory.user(balance=100)
    task = await factory.task(user, credits=30)

    await recovery.run()

    assert await _status(transactions, task) == "completed"
    assert await _account(transactions, user) == (70, 0, 30)
    (event,) = await _events(transactions, "task.completed")
    assert event["task_id"] == str(task)
    assert event["credits_charged"] == 30
    (asset,) = event["assets"]  # type: ignore[misc]
    assert asset["url"] == f"https://cdn.example/{task}/1-0.mp4"
    assert asset["key"] in recovery.assets.stored
    assert await broken_truths(transactions) == {}


@pytest.mark.parametrize(
    ("verdict", "status"),
    [(Failed("NSFW"), "failed"), (Cancelled("by user"), "cancelled"), (Expired("data removed"), "expired")],
)
async def test_a_task_the_provider_ended_gives_its_credits_back(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest, verdict: Failed, status: str
) -> None:
    user = await factory.user(balance=100)
    task = await factory.task(user, credits=30)
    recovery.providers.answers[f"p-{task.hex}"] = verdict

    await recovery.run()

    assert await _status(transactions, task) == status
    assert await _account(transactions, user) == (100, 0, 0)
    (event,) = await _events(transactions, "task.failed")
    assert event["credits_returned"] == 30
    assert event["outcome"] == status
    assert await broken_truths(transactions) == {}


@pytest.mark.parametrize(
    "verdict", [StillRunning(queued=False, state="processing"), Unknown(UnknownReason.SERVER_ERROR, "500")]
)
async def test_an_open_task_keeps_its_credits_frozen_and_is_not_asked_twice_in_one_run(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest, verdict: StillRunning
) -> None:
    user = await factory.user(balance=100)
    task = await factory.task(user, credits=30)
    recovery.providers.answers[f"p-{task.hex}"] = verdict

    await recovery.run()

    assert await _status(transactions, task) == "processing"
    assert await _account(transactions, user) == (100, 30, 0)
    assert recovery.providers.asked == [f"p-{task.hex}"]


@pytest.mark.parametrize(
    ("billing", "verdict", "expected"),
    [
        ("on_success", None, (70, 0, 30)),
        ("on_success", Failed("no"), (100, 0, 0)),
        ("prepaid", None, (100, 0, 0)),
        ("prepaid", Failed("no"), (130, 0, 0)),
        ("none", None, (100, 0, 0)),
        ("none", Failed("no"), (100, 0, 0)),
    ],
)
async def test_credits_move_as_the_billing_says(
    transactions: Transactions,
    factory: Factory,
    recovery: RecoveryUnderTest,
    billing: str,
    verdict: Failed | None,
    expected: tuple[int, int, int],
) -> None:
    user = await factory.user(balance=100)
    task = await factory.task(user, credits=30, billing=billing)
    if verdict is not None:
        recovery.providers.answers[f"p-{task.hex}"] = verdict

    await recovery.run()

    assert await _account(transactions, user) == expected


async def test_a_task_is_never_charged_twice_when_two_workers_finish_it(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    user = await factory.user(balance=100)
    task = await factory.task(user, credits=30)
    slow = RecoveryUnderTest(transactions, lease_seconds=0.0)
    run = await recovery.start_run()
    (of_slow,) = await _claim_and_resolve(slow, run)
    (of_fast,) = await _claim_and_resolve(recovery, run)

    fast, late = await asyncio.gather(recovery.settle_tasks([of_fast]), slow.settle_tasks([of_slow]))

    assert [len(fast.settled), len(late.settled), len(late.lost)] == [1, 0, 1]
    assert await _account(transactions, user) == (70, 0, 30)
    async with transactions.read() as reading:
        key = await reading.value("SELECT key FROM task_assets WHERE task_id = :id", id=task)
    assert key == f"{task}/2-0.mp4"
    assert len(await _events(transactions, "task.completed")) == 1


async def test_opposite_verdicts_of_two_workers_settle_once(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    user = await factory.user(balance=100)
    task = await factory.task(user, credits=30)
    other = RecoveryUnderTest(transactions, lease_seconds=0.0)
    other.providers.answers[f"p-{task.hex}"] = Failed("wrong")
    run = await recovery.start_run()
    (failed,) = await _claim_and_resolve(other, run)
    (completed,) = await _claim_and_resolve(recovery, run)

    await other.settle_tasks([failed])
    await recovery.settle_tasks([completed])

    assert await _status(transactions, task) == "completed"
    assert await _events(transactions, "task.failed") == []
    assert await broken_truths(transactions) == {}


async def test_settling_the_same_resolution_again_changes_nothing(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    user = await factory.user(balance=100)
    await factory.task(user, credits=30)
    run = await recovery.start_run()
    (done,) = await _claim_and_resolve(recovery, run)

    await recovery.settle_tasks([done])
    again = await recovery.settle_tasks([done])

    assert again.settled == ()
    assert await _account(transactions, user) == (70, 0, 30)


async def test_many_tasks_of_one_user_in_one_group_leave_a_ledger_that_adds_up(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    user = await factory.user(balance=100)
    for number in range(10):
        task = await factory.task(user, credits=5)
        if number % 2:
            recovery.providers.answers[f"p-{task.hex}"] = Failed("no")

    await recovery.run()

    assert await _account(transactions, user) == (75, 0, 25)
    async with transactions.read() as reading:
        lines = await reading.rows(
            "SELECT balance_after, frozen_after FROM credit_transactions WHERE user_id = :u AND kind <> 'grant'"
            " ORDER BY created_at, frozen_after DESC",
            u=user,
        )
    assert lines[-1] == {"balance_after": 75, "frozen_after": 0}
    assert await broken_truths(transactions) == {}


async def test_one_unpayable_task_does_not_hold_the_rest_of_its_group(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    poor, rich = await factory.user(balance=5), await factory.user(balance=100)
    unpayable = await factory.task(poor, credits=30, billing="on_success")
    others = [await factory.task(rich, credits=10) for _ in range(5)]

    run = await recovery.run()

    assert {await _status(transactions, task) for task in others} == {"completed"}
    assert await _status(transactions, unpayable) == "processing"
    assert await _account(transactions, poor) == (5, 0, 0)
    async with transactions.read() as reading:
        row = await reading.row("SELECT status, results FROM cron_job_executions WHERE id = :id", id=run)
        code = await reading.value("SELECT failure_code FROM tasks WHERE id = :id", id=unpayable)
    assert row == {
        "status": "completed",
        "results": {"completed": 5, "failed": 0, "stillProcessing": 0, "errors": 1, "totalFound": 6},
    }
    assert code == "settlement_refused"


async def test_a_task_that_keeps_failing_on_our_side_needs_attention(
    transactions: Transactions, factory: Factory
) -> None:
    recovery = RecoveryUnderTest(transactions, policy=Policy(own_failures_until_attention=2))
    user = await factory.user(balance=5)
    task = await factory.task(user, credits=30, billing="on_success")

    await recovery.run("first")
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET next_check_at = now()")
    await recovery.run("second")

    assert await _status(transactions, task) == "needs_attention"
    (event,) = await _events(transactions, "task.needs-attention")
    assert "settlement_refused" in str(event["reason"])


async def test_the_timeline_tells_check_verdict_and_ledger_entry(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    task = await factory.task(credits=30)
    run = await recovery.run()
    async with transactions.read() as reading:
        rows = await reading.rows(
            "SELECT kind, verdict, outcome, run_id FROM task_events WHERE task_id = :id ORDER BY id", id=task
        )
    assert [(row["kind"], row["verdict"], row["outcome"]) for row in rows] == [
        ("checked", "succeeded", "completed"),
        ("settled", "succeeded", "completed"),
    ]
    assert {row["run_id"] for row in rows} == {run}
