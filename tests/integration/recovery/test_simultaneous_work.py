"""Two ways to the same task at once, and the last moments of a run: settled once, ended once, nobody below zero."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from backstop_admin_api.application.intake_outcomes import AlreadyKnown
from backstop_common.contracts import TaskCheck
from backstop_common.database import Transactions
from backstop_common.messaging import Delivery
from backstop_recovery.application.request_check import RequestCheck
from backstop_recovery.domain.verdict import Failed
from tests.support.factories import Factory
from tests.support.intake import task_body
from tests.support.recovery import RecoveryUnderTest, broken_truths
from tests.support.scenarios.accounts import register
from tests.support.scenarios.claims import check_one
from tests.support.scenarios.runs import settle_and_end


@pytest.fixture
async def factory(transactions: Transactions) -> Factory:
    factory = Factory(transactions)
    await factory.job()
    return factory


@pytest.fixture
def recovery(transactions: Transactions) -> RecoveryUnderTest:
    return RecoveryUnderTest(transactions)


async def _work(recovery: RecoveryUnderTest) -> None:
    sweep = recovery.sweep()
    while await sweep.run_once():
        pass


async def _count(transactions: Transactions, condition: str) -> int:
    async with transactions.read() as reading:
        return int(await reading.value(f"SELECT count(*) FROM {condition}"))  # noqa: S608 - a test's own words


async def test_a_webhook_and_the_poll_at_once_settle_a_task_once(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    user = await factory.user(balance=1000)
    tasks = [await factory.task(user) for _ in range(8)]
    await recovery.start_run()
    told = RecoveryUnderTest(transactions)

    await asyncio.gather(_work(recovery), *(check_one(task, uuid4())(told) for task in tasks))
    await _work(recovery)

    assert await _count(transactions, "outbox WHERE type = 'task.completed'") == 8
    assert await _count(transactions, "credit_transactions WHERE kind = 'charge'") == 8
    assert await _count(transactions, "outbox WHERE type = 'run.finished'") == 1
    assert await broken_truths(transactions) == {}


async def test_a_webhook_delivered_three_times_asks_for_one_check(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    task = await factory.task()
    delivery = Delivery("recovery.task.check", uuid4(), None)
    request = RequestCheck(transactions)
    answers = [await request(TaskCheck(task_id=task, reason="webhook"), delivery) for _ in range(3)]
    assert answers == [True, False, False]
    assert await _count(transactions, "task_events WHERE kind = 'check_requested'") == 1


async def test_three_webhooks_of_one_task_settle_it_once(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    task = await factory.task()
    settled = [await check_one(task, uuid4())(recovery) for _ in range(3)]
    assert settled == [1, 0, 0]
    assert await _count(transactions, "outbox WHERE type = 'task.completed'") == 1
    assert await broken_truths(transactions) == {}


async def test_the_two_last_tasks_of_a_run_that_finish_together_end_it_once(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    for user in ("ada", "bob"):
        await factory.task(await factory.user(user))
    run = await recovery.start_run()
    one, two = [await recovery.resolve_task(task) for task in await recovery.claim_tasks.for_run(run, limit=2)]

    ended = await asyncio.gather(settle_and_end(run, one)(recovery), settle_and_end(run, two)(recovery))

    assert sorted(ended) == [False, True]
    assert await _count(transactions, "outbox WHERE type = 'run.finished'") == 1


async def test_a_refund_that_races_a_completion_pays_nothing_back(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    task = await factory.task(await factory.user(balance=100), billing="prepaid", credits=30)
    run = await recovery.start_run()
    slow = RecoveryUnderTest(transactions, lease_seconds=0.0)
    slow.providers.answers[f"p-{task.hex}"] = Failed("wrong")
    (stale,) = [await slow.resolve_task(claim) for claim in await slow.claim_tasks.for_run(run, limit=1)]
    (fresh,) = [await recovery.resolve_task(claim) for claim in await recovery.claim_tasks.for_run(run, limit=1)]

    await asyncio.gather(slow.settle_tasks([stale]), recovery.settle_tasks([fresh]))

    assert await _count(transactions, "tasks WHERE status = 'completed'") == 1
    assert await _count(transactions, "credit_transactions WHERE kind = 'refund'") == 0
    assert await broken_truths(transactions) == {}


async def test_credits_that_were_spent_before_the_commit_leave_the_task_open_and_nobody_below_zero(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    user = await factory.user(balance=40)
    late = await factory.task(user, billing="on_success", credits=30)
    run = await recovery.start_run()
    (done,) = [await recovery.resolve_task(claim) for claim in await recovery.claim_tasks.for_run(run, limit=1)]
    await factory.task(user, billing="hold", credits=20, age_seconds=10)

    await recovery.sweep().settle.settle(done)

    async with transactions.read() as reading:
        row = await reading.row("SELECT status, failure_code FROM tasks WHERE id = :id", id=late)
        account = await reading.row("SELECT balance, frozen_balance FROM credit_accounts")
    assert row is not None
    assert account is not None
    assert dict(row) == {"status": "processing", "failure_code": "settlement_refused"}
    assert dict(account) == {"balance": 40, "frozen_balance": 20}
    assert await _count(transactions, "outbox WHERE type = 'task.completed'") == 0


async def test_a_task_whose_provider_id_comes_while_it_is_failed_for_having_none_stays_open(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    await factory.user("ada")
    body = task_body(id=str(UUID(int=1)), providerTaskId=None)
    await register(body)(recovery)
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET submitted_at = now() - interval '2 hours', next_check_at = now()")
    run = await recovery.start_run()
    (claim,) = await recovery.claim_tasks.for_run(run, limit=1)
    never_submitted = await recovery.resolve_task(claim)

    outcome = await register({**body, "providerTaskId": "p-late"})(recovery)
    settled = await recovery.settle_tasks([never_submitted])

    assert isinstance(outcome, AlreadyKnown)
    assert settled.settled == ()
    assert await _count(transactions, "tasks WHERE status = 'processing' AND provider_task_id = 'p-late'") == 1
