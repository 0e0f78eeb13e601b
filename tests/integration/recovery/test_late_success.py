"""A generation that succeeds after we gave it up is told once, kept only if wished, and never charged."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import RowMapping

from backstop_common.contracts import TaskCheck
from backstop_common.database import Transactions
from backstop_common.errors import TransientError
from backstop_common.messaging import Delivery
from backstop_recovery.application.audit_invariants import AuditInvariants
from backstop_recovery.application.errors import OutputGoneError
from backstop_recovery.application.request_check import RequestCheck
from backstop_recovery.domain.decision import Policy
from backstop_recovery.domain.late import LatePolicy, LateSuccess
from backstop_recovery.domain.verdict import Failed, StillRunning, Succeeded, Unknown, UnknownReason, Verdict
from tests.support.factories import Factory
from tests.support.recovery import RecoveryUnderTest, broken_truths, one_output

DAY = 86_400
RUNNING = StillRunning(queued=False, state="processing")
RECORD, KEEP, IGNORE = (LatePolicy(action) for action in LateSuccess)


@pytest.fixture
async def factory(transactions: Transactions) -> Factory:
    factory = Factory(transactions)
    await factory.job()
    return factory


def _worker(transactions: Transactions, late: LatePolicy = RECORD) -> RecoveryUnderTest:
    return RecoveryUnderTest(transactions, policy=Policy(late=late))


async def _gave_up(worker: RecoveryUnderTest, factory: Factory, **more: Any) -> UUID:
    """A task that timed out in a run, with 30 held credits given back."""
    task = await factory.task(credits=30, age_seconds=2 * DAY, **more)
    worker.providers.answers[f"p-{task.hex}"] = RUNNING
    await worker.run(f"slot-{task}")
    assert (await _task(worker.transactions, task))["status"] == "timed_out"
    return task


async def _look(worker: RecoveryUnderTest, task: UUID, answer: Verdict, *, since: float = 1200) -> None:
    """A late look `since` seconds after giving up."""
    worker.providers.answers[f"p-{task.hex}"] = answer
    await _is_due(worker.transactions, since=since)
    await _work(worker)


async def _work(worker: RecoveryUnderTest) -> None:
    late = worker.check_late()
    while await late.run_once():
        pass


async def _is_due(transactions: Transactions, *, since: float = 1200) -> None:
    async with transactions.begin() as tx:
        await tx.execute(
            "UPDATE tasks SET finished_at = clock_timestamp() - make_interval(secs => :since),"
            " next_check_at = clock_timestamp() WHERE next_check_at IS NOT NULL",
            since=since,
        )


async def _task(transactions: Transactions, task: UUID) -> RowMapping:
    async with transactions.read() as reading:
        row = await reading.row(
            "SELECT *, extract(epoch FROM next_check_at - clock_timestamp())::float AS next_in FROM tasks"
            " WHERE id = :id",
            id=task,
        )
    assert row is not None
    return row


async def _lines(transactions: Transactions, kind: str) -> list[RowMapping]:
    async with transactions.read() as reading:
        return list(await reading.rows("SELECT * FROM task_events WHERE kind = :kind ORDER BY id", kind=kind))


async def _count(transactions: Transactions, table: str) -> int:
    async with transactions.read() as reading:
        return int(await reading.value(f"SELECT count(*) FROM {table}"))  # noqa: S608 - names of this module


async def test_a_late_success_is_told_and_nothing_else_changes(transactions: Transactions, factory: Factory) -> None:
    worker = _worker(transactions)
    task = await _gave_up(worker, factory)
    ledger, messages = await _count(transactions, "credit_transactions"), await _count(transactions, "outbox")

    await _look(worker, task, one_output())

    row = await _task(transactions, task)
    assert (row["status"], row["last_verdict"], row["next_check_at"]) == ("timed_out", "succeeded", None)
    assert (row["failure_code"], row["lease_holder"]) == ("timed_out", None)
    (line,) = await _lines(transactions, "late_success")
    assert (line["task_id"], line["verdict"]) == (task, "succeeded")
    assert await _count(transactions, "task_assets") == 0
    assert await _count(transactions, "credit_transactions") == ledger
    assert await _count(transactions, "outbox") == messages
    assert await broken_truths(transactions) == {}


async def test_a_late_success_that_is_kept_has_its_assets_and_is_free(
    transactions: Transactions, factory: Factory
) -> None:
    worker = _worker(transactions, KEEP)
    task = await _gave_up(worker, factory)
    ledger = await _count(transactions, "credit_transactions")

    await _look(worker, task, one_output())

    assert (await _task(transactions, task))["status"] == "timed_out"
    async with transactions.read() as reading:
        (key,) = [row["key"] for row in await reading.rows("SELECT key FROM task_assets WHERE task_id = :id", id=task)]
    assert key in worker.assets.stored
    assert (await _lines(transactions, "late_success"))[0]["detail"]["assets"][0]["key"] == key
    assert await _count(transactions, "credit_transactions") == ledger
    assert await broken_truths(transactions) == {}
    assert [finding.invariant.name for finding in await AuditInvariants(transactions)() if finding.count] == []


async def test_a_file_that_cannot_be_kept_yet_is_tried_again_and_told_in_the_end(
    transactions: Transactions, factory: Factory
) -> None:
    worker = _worker(transactions, KEEP)
    task = await _gave_up(worker, factory)
    worker.assets.failures[f"p-{task.hex}"] = TransientError("the store is away")

    await _look(worker, task, one_output())
    assert (await _task(transactions, task))["next_in"] == pytest.approx(1200, abs=20)
    assert await _lines(transactions, "late_success") == []

    worker.assets.failures[f"p-{task.hex}"] = OutputGoneError("404")
    await _look(worker, task, one_output(), since=DAY)
    (line,) = await _lines(transactions, "late_success")
    assert "not kept: output 0: 404" in line["detail"]["message"]
    assert (await _task(transactions, task))["next_check_at"] is None


@pytest.mark.parametrize(
    "answer", [RUNNING, Unknown(UnknownReason.SERVER_ERROR, "500"), Succeeded(())], ids=["running", "500", "no file"]
)
async def test_what_is_not_over_yet_is_asked_again_later_until_the_window_ends(
    transactions: Transactions, factory: Factory, answer: Verdict
) -> None:
    worker = _worker(transactions)
    task = await _gave_up(worker, factory)
    await _look(worker, task, answer)
    assert (await _task(transactions, task))["next_in"] == pytest.approx(1200, abs=20)
    await _look(worker, task, answer, since=DAY)
    assert (await _task(transactions, task))["next_check_at"] is None
    assert await _lines(transactions, "late_success") == []
    assert len(await _lines(transactions, "late_check")) == 2


async def test_a_late_failure_is_the_last_word(transactions: Transactions, factory: Factory) -> None:
    worker = _worker(transactions)
    task = await _gave_up(worker, factory)
    await _look(worker, task, Failed("NSFW"))
    row = await _task(transactions, task)
    assert (row["status"], row["last_verdict"], row["next_check_at"]) == ("timed_out", "failed", None)


async def test_nobody_asks_when_late_successes_are_ignored(transactions: Transactions, factory: Factory) -> None:
    task = await _gave_up(_worker(transactions, RECORD), factory)
    worker = _worker(transactions, IGNORE)
    await _look(worker, task, one_output())
    assert worker.providers.asked == []


async def test_two_workers_tell_a_late_success_once(transactions: Transactions, factory: Factory) -> None:
    tasks = [await _gave_up(_worker(transactions), factory) for _ in range(5)]
    await _is_due(transactions)
    workers = [_worker(transactions, KEEP) for _ in range(3)]
    await asyncio.gather(*(_work(worker) for worker in workers))
    assert sorted(line["task_id"] for line in await _lines(transactions, "late_success")) == sorted(tasks)
    assert sum(len(worker.providers.asked) for worker in workers) == 5
    assert await broken_truths(transactions) == {}


async def test_a_worker_that_lost_its_lease_changes_nothing(transactions: Transactions, factory: Factory) -> None:
    slow = _worker(transactions, KEEP)
    task = await _gave_up(slow, factory)
    await _is_due(transactions)
    late = slow.check_late()
    (stale,) = await late.claim_late(limit=1)
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET lease_expires_at = clock_timestamp() - interval '1 s'")
    await _look(_worker(transactions, KEEP), task, one_output())

    finding = await late.find(stale)
    assert await late.settle_late(finding) is False
    assert len(await _lines(transactions, "late_success")) == 1
    async with transactions.read() as reading:
        keys = [row["key"] for row in await reading.rows("SELECT key FROM task_assets")]
    assert keys == [f"{task}/{stale.task.fence + 1}-0.mp4"]


async def test_settling_a_finding_again_changes_nothing(transactions: Transactions, factory: Factory) -> None:
    worker = _worker(transactions)
    await _gave_up(worker, factory)
    await _is_due(transactions)
    late = worker.check_late()
    (claimed,) = await late.claim_late(limit=1)
    worker.providers.answers.clear()
    finding = await late.find(claimed)
    assert [await late.settle_late(finding), await late.settle_late(finding)] == [True, False]
    assert len(await _lines(transactions, "late_success")) == 1


async def test_an_answer_that_is_not_final_settled_again_is_no_second_look(
    transactions: Transactions, factory: Factory
) -> None:
    worker = _worker(transactions)
    task = await _gave_up(worker, factory)
    await _is_due(transactions)
    late = worker.check_late()
    (claimed,) = await late.claim_late(limit=1)
    finding = await late.find(claimed)
    for _ in range(2):
        await late.settle_late(finding)
    assert len(await _lines(transactions, "late_check")) == 1
    assert (await _task(transactions, task))["check_count"] == claimed.task.check_count + 1


async def test_a_stale_finding_does_not_end_the_claim_of_the_worker_that_took_over(
    transactions: Transactions, factory: Factory
) -> None:
    slow, fast = _worker(transactions), _worker(transactions)
    task = await _gave_up(slow, factory)
    await _is_due(transactions)
    (stale,) = await slow.check_late().claim_late(limit=1)
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET lease_expires_at = clock_timestamp() - interval '1 s'")
    (fresh,) = await fast.check_late().claim_late(limit=1)

    await slow.check_late().settle_late(await slow.check_late().find(stale))
    assert (await _task(transactions, task))["lease_holder"] == fast.holder
    assert await _lines(transactions, "late_check") == []
    assert await fast.check_late().settle_late(await fast.check_late().find(fresh)) is True


async def test_an_open_task_is_never_taken_for_a_late_one(transactions: Transactions, factory: Factory) -> None:
    await factory.task(credits=30, age_seconds=2 * DAY)
    worker = _worker(transactions)
    await _work(worker)
    assert worker.providers.asked == []


async def _request(transactions: Transactions, task: UUID, late: LatePolicy = RECORD) -> bool:
    request = TaskCheck(task_id=task, reason="webhook")
    return await RequestCheck(transactions, late)(request, Delivery("recovery.task.check", uuid4(), None))


@pytest.mark.parametrize(
    ("late", "since", "due"),
    [(RECORD, 60, True), (KEEP, DAY - 60, True), (RECORD, DAY + 1, False), (IGNORE, 60, False)],
)
async def test_a_webhook_makes_a_task_due_that_we_gave_up_within_the_window(
    transactions: Transactions, factory: Factory, late: LatePolicy, since: float, due: bool
) -> None:
    task = await _gave_up(_worker(transactions), factory)
    await _is_due(transactions, since=since)
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET next_check_at = NULL")
    assert await _request(transactions, task, late) is due
    row = await _task(transactions, task)
    assert (row["status"], row["next_check_at"] is not None) == ("timed_out", due)
    assert len(await _lines(transactions, "check_requested")) == (1 if due else 0)


async def test_a_late_success_that_is_known_is_not_asked_about_again(
    transactions: Transactions, factory: Factory
) -> None:
    worker = _worker(transactions)
    task = await _gave_up(worker, factory)
    await _look(worker, task, one_output())
    assert await _request(transactions, task) is False
    assert (await _task(transactions, task))["next_check_at"] is None


async def test_a_request_that_comes_while_a_success_is_settled_does_not_tell_it_twice(
    transactions: Transactions, factory: Factory
) -> None:
    worker = _worker(transactions, KEEP)
    task = await _gave_up(worker, factory)
    await _look(worker, task, one_output())
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET next_check_at = clock_timestamp()")
    await _work(worker)
    assert len(await _lines(transactions, "late_success")) == 1
    assert await _count(transactions, "task_assets") == 1
