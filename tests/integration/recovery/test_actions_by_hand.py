"""A person may look again, end, or leave alone an open task; what has ended stays as it is."""

from __future__ import annotations

from typing import Literal
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import RowMapping

from backstop_common.contracts import ActOnTask
from backstop_common.database import Transactions
from backstop_common.errors import TransientError
from backstop_common.messaging import Delivery
from backstop_recovery.application.carry_out_action import CarryOutAction
from backstop_recovery.domain.task import Task
from tests.support.factories import Factory
from tests.support.recovery import RecoveryUnderTest, broken_truths
from tests.support.resolutions import completed

Action = Literal["recover", "fail", "ignore"]


@pytest.fixture
def factory(transactions: Transactions) -> Factory:
    return Factory(transactions)


async def _act(
    transactions: Transactions, task: UUID, action: Action, *, event: UUID | None = None, note: str | None = None
) -> bool:
    recovery = RecoveryUnderTest(transactions)
    carry_out = CarryOutAction(transactions, recovery.claim_tasks, recovery.settle_tasks)
    message = ActOnTask(task_id=task, action=action, actor="ada", note=note)
    return await carry_out(message, Delivery("recovery.task.act", event or uuid4(), None))


async def _task(transactions: Transactions, task: UUID) -> RowMapping:
    async with transactions.read() as reading:
        row = await reading.row("SELECT * FROM tasks WHERE id = :id", id=task)
    assert row is not None
    return row


async def _account(transactions: Transactions) -> tuple[int, int]:
    async with transactions.read() as reading:
        row = await reading.row("SELECT balance, frozen_balance FROM credit_accounts")
    assert row is not None
    return row["balance"], row["frozen_balance"]


async def _needs_attention(transactions: Transactions, task: UUID) -> None:
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET status = 'needs_attention', error_count = 10 WHERE id = :id", id=task)


async def test_a_task_that_needs_attention_is_open_again_and_due_when_somebody_recovers_it(
    transactions: Transactions, factory: Factory
) -> None:
    task = await factory.task()
    await _needs_attention(transactions, task)
    assert await _act(transactions, task, "recover")
    row = await _task(transactions, task)
    assert (row["status"], row["error_count"]) == ("processing", 0)
    await factory.job()
    await RecoveryUnderTest(transactions).run()
    assert (await _task(transactions, task))["status"] == "completed"


async def test_failing_a_task_gives_the_credits_back_once_however_often_it_is_told(
    transactions: Transactions, factory: Factory
) -> None:
    user = await factory.user(balance=50)
    task = await factory.task(user, credits=10)
    await _needs_attention(transactions, task)
    event = uuid4()
    for _ in range(2):
        await _act(transactions, task, "fail", event=event, note="asked for by the customer")
    await _act(transactions, task, "fail")
    row = await _task(transactions, task)
    assert (row["status"], row["failure_code"]) == ("failed", "failed_by_hand")
    assert await _account(transactions) == (50, 0)
    async with transactions.read() as reading:
        failed = await reading.rows("SELECT body FROM outbox WHERE type = 'task.failed'")
        told = await reading.rows("SELECT kind, detail FROM task_events ORDER BY id")
    assert len(failed) == 1
    assert "asked for by the customer" not in failed[0]["body"]
    assert [line["kind"] for line in told] == ["fail_requested", "checked", "settled"]
    assert told[0]["detail"] == {"actor": "ada", "note": "asked for by the customer"}
    assert await broken_truths(transactions) == {}


async def test_a_task_is_failed_under_the_hands_of_a_worker_whose_result_then_counts_for_nothing(
    transactions: Transactions, factory: Factory
) -> None:
    task = await factory.task(await factory.user(balance=50), credits=10)
    worker = RecoveryUnderTest(transactions)
    claimed = await worker.claim_tasks.one(task)
    assert claimed is not None
    await _act(transactions, task, "fail")
    settled = await worker.settle_tasks([completed(claimed)])
    assert (len(settled.settled), len(settled.lost)) == (0, 1)
    assert (await _task(transactions, task))["status"] == "failed"
    assert await broken_truths(transactions) == {}


async def test_a_completed_task_stays_completed_whatever_is_asked(transactions: Transactions, factory: Factory) -> None:
    await factory.job()
    task = await factory.task(await factory.user(balance=50), credits=10)
    await RecoveryUnderTest(transactions).run()
    before = await _task(transactions, task)
    for action in ("recover", "fail", "ignore"):
        assert not await _act(transactions, task, action)
    assert await _task(transactions, task) == before


async def test_an_ignored_task_is_final_moves_nothing_and_is_never_claimed(
    transactions: Transactions, factory: Factory
) -> None:
    await factory.job()
    task = await factory.task(await factory.user(balance=50), credits=10)
    before = await _account(transactions)
    assert not await _act(transactions, task, "ignore")
    await RecoveryUnderTest(transactions).run()
    row = await _task(transactions, task)
    assert row["status"] == "ignored"
    assert row["finished_at"] is not None
    assert await _account(transactions) == before
    async with transactions.read() as reading:
        assert await reading.value("SELECT count(*) FROM outbox WHERE type LIKE 'task.%'") == 0


async def test_a_task_that_a_worker_claims_in_the_same_moment_is_failed_at_the_next_delivery(
    transactions: Transactions, factory: Factory
) -> None:
    task = await factory.task()
    recovery = RecoveryUnderTest(transactions)

    class _Late:
        async def one(self, task_id: UUID) -> None:
            await recovery.claim_tasks.one(task_id)

    carry_out = CarryOutAction(transactions, _Late(), recovery.settle_tasks)  # type: ignore[arg-type]
    message = ActOnTask(task_id=task, action="fail", actor="ada")
    with pytest.raises(TransientError, match="claimed in the same moment"):
        await carry_out(message, Delivery("recovery.task.act", uuid4(), None))
    await _act(transactions, task, "fail")
    assert (await _task(transactions, task))["status"] == "failed"


async def test_credits_that_a_person_gives_back_are_counted_as_all_others(
    transactions: Transactions, factory: Factory
) -> None:
    def released() -> float:
        return REGISTRY.get_sample_value("backstop_credits_total", {"operation": "release"}) or 0.0

    task = await factory.task(await factory.user(balance=50), credits=10)
    before = released()
    await _act(transactions, task, "fail")
    assert released() - before == 10


async def test_a_claim_that_is_lost_before_its_end_is_settled_is_made_again(
    transactions: Transactions, factory: Factory
) -> None:
    task = await factory.task(await factory.user(balance=50), credits=10)
    recovery = RecoveryUnderTest(transactions)

    class _Overtaken:
        async def one(self, task_id: UUID) -> Task | None:
            claimed = await recovery.claim_tasks.one(task_id)
            async with transactions.begin() as tx:
                await tx.execute("UPDATE tasks SET fence = fence + 1, lease_holder = NULL, lease_expires_at = NULL")
            return claimed

    carry_out = CarryOutAction(transactions, _Overtaken(), recovery.settle_tasks)  # type: ignore[arg-type]
    message = ActOnTask(task_id=task, action="fail", actor="ada")
    with pytest.raises(TransientError, match="claimed in the same moment"):
        await carry_out(message, Delivery("recovery.task.act", uuid4(), None))
    await _act(transactions, task, "fail")
    assert (await _task(transactions, task))["status"] == "failed"
