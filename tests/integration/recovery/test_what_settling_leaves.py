"""What a settled check leaves on its task: why it was stuck, when to ask again, how long its file is there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import RowMapping

from backstop_common.database import Transactions
from backstop_common.errors import TransientError
from backstop_recovery.application.errors import OutputGoneError
from backstop_recovery.application.settle_tasks import Settled, SettleTasks
from backstop_recovery.domain.decision import Policy
from backstop_recovery.domain.late import LatePolicy, LateSuccess
from backstop_recovery.domain.verdict import (
    Failed,
    NotFound,
    StillRunning,
    Succeeded,
    Unknown,
    UnknownReason,
    Verdict,
)
from tests.support.factories import Factory
from tests.support.recovery import RecoveryUnderTest, broken_truths, one_output

DAY = 86_400


@pytest.fixture
async def factory(transactions: Transactions) -> Factory:
    factory = Factory(transactions)
    await factory.job()
    return factory


@pytest.fixture
def recovery(transactions: Transactions) -> RecoveryUnderTest:
    return RecoveryUnderTest(transactions, policy=Policy(not_found_grace_seconds=0))


async def _check(recovery: RecoveryUnderTest, task: UUID, answer: Verdict | Exception) -> Settled:
    """One check of a task, webhook or not, outside any run."""
    providers = recovery.providers.answers
    recovery.assets.failures = {f"p-{task.hex}": answer} if isinstance(answer, Exception) else {}  # type: ignore[dict-item]
    providers[f"p-{task.hex}"] = one_output() if isinstance(answer, Exception) else answer
    claimed = await recovery.claim_tasks.one(task)
    assert claimed is not None
    settle = SettleTasks(recovery.transactions, None, frozenset({"replicate"}))
    return await settle([await recovery.resolve_task(claimed)])


async def _row(transactions: Transactions, task: UUID) -> RowMapping:
    async with transactions.read() as reading:
        row = await reading.row(
            "SELECT *, extract(epoch FROM next_check_at - clock_timestamp())::float AS next_in FROM tasks"
            " WHERE id = :id",
            id=task,
        )
    assert row is not None
    return row


async def _webhook_came(transactions: Transactions, task: UUID) -> None:
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET webhook_at = clock_timestamp() WHERE id = :id", id=task)


RUNNING = StillRunning(queued=False, state="processing")
AWAY = TransientError("the store is away")


@pytest.mark.parametrize(
    ("answers", "cause"),
    [
        ((one_output(),), "webhook_lost"),
        ((RUNNING, one_output()), "provider_slow"),
        ((Unknown(UnknownReason.SERVER_ERROR, "500"), one_output()), "provider_trouble"),
        ((NotFound("who?"), RUNNING, one_output()), "provider_denies"),
        ((AWAY, one_output()), "own_trouble"),
    ],
)
async def test_the_cause_is_told_by_the_first_check_and_stays(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest, answers: tuple[Any, ...], cause: str
) -> None:
    task = await factory.task()
    for answer in answers:
        await _check(recovery, task, answer)
        assert (await _row(transactions, task))["stuck_cause"] == cause
    async with transactions.read() as reading:
        details = await reading.rows(
            "SELECT detail FROM task_events WHERE task_id = :id AND kind = 'checked' ORDER BY id", id=task
        )
    assert [row["detail"].get("stuckCause") for row in details] == [cause] + [None] * (len(answers) - 1)


async def test_a_task_whose_webhook_came_was_not_stuck(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    task = await factory.task()
    await _webhook_came(transactions, task)
    settled = await _check(recovery, task, one_output())
    assert (await _row(transactions, task))["stuck_cause"] is None
    assert settled.told == (("replicate", "webhook"),)


async def test_the_end_of_a_generation_is_told_by_its_webhook_or_by_nobody_once(
    factory: Factory, recovery: RecoveryUnderTest
) -> None:
    task, silent = await factory.task(), await factory.task(provider="runway")
    assert (await _check(recovery, task, RUNNING)).told == ()
    assert (await _check(recovery, task, Failed("NSFW"))).told == (("replicate", "nobody"),)
    assert (await _check(recovery, silent, Failed("NSFW"))).told == ()


@pytest.mark.parametrize("answer", [one_output(), Failed("NSFW")], ids=["completed", "failed"])
async def test_what_is_final_is_never_due_again(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest, answer: Verdict
) -> None:
    task = await factory.task()
    await _check(recovery, task, answer)
    assert (await _row(transactions, task))["next_check_at"] is None


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        (LatePolicy(), 600),
        (LatePolicy(LateSuccess.KEEP, window_seconds=60), 60),
        (LatePolicy(LateSuccess.IGNORE), None),
        (LatePolicy(window_seconds=0), None),
    ],
)
async def test_what_timed_out_is_due_for_a_late_look_as_the_policy_says(
    transactions: Transactions,
    factory: Factory,
    recovery: RecoveryUnderTest,
    late: LatePolicy,
    expected: float | None,
) -> None:
    recovery.policy = Policy(late=late)
    task = await factory.task(age_seconds=2 * DAY)
    await _check(recovery, task, RUNNING)
    row = await _row(transactions, task)
    assert row["status"] == "timed_out"
    assert row["next_in"] == (None if expected is None else pytest.approx(expected, abs=10))
    assert await broken_truths(transactions) == {}


async def test_a_copy_that_failed_is_claimed_again_before_the_file_goes(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    task, until = await factory.task(), datetime.now(UTC) + timedelta(seconds=60)
    recovery.assets.failures[f"p-{task.hex}"] = AWAY
    recovery.providers.answers[f"p-{task.hex}"] = Succeeded(one_output().outputs, available_until=until)
    claimed = await recovery.claim_tasks.one(task)
    assert claimed is not None
    await recovery.settle_tasks([await recovery.resolve_task(claimed)])
    row = await _row(transactions, task)
    assert row["output_deadline_at"] == until
    assert 0 < row["next_in"] < 60


async def test_a_check_without_such_a_moment_keeps_the_one_that_is_known(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    task, until = await factory.task(), datetime.now(UTC) + timedelta(hours=1)
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET output_deadline_at = :until", until=until)
    await _check(recovery, task, AWAY)
    assert (await _row(transactions, task))["output_deadline_at"] == until


@pytest.mark.parametrize(
    ("answer", "code"), [(Succeeded(()), "success_without_output"), (OutputGoneError("404"), "output_gone")]
)
async def test_a_lost_asset_gives_the_credits_back_and_tells_why(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest, answer: Any, code: str
) -> None:
    task = await factory.task(credits=30)
    for _ in range(3):
        await _check(recovery, task, answer)
    row = await _row(transactions, task)
    assert (row["status"], row["failure_code"], row["last_verdict"]) == ("asset_lost", code, "succeeded")
    async with transactions.read() as reading:
        kinds = await reading.rows("SELECT kind FROM credit_transactions WHERE task_id = :id ORDER BY kind", id=task)
        body = await reading.value("SELECT body FROM outbox WHERE type = 'task.failed'")
    assert [line["kind"] for line in kinds] == ["hold", "release"]
    assert '"asset_lost"' in body
    assert await broken_truths(transactions) == {}


async def test_a_partial_result_is_kept_in_the_timeline(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    task = await factory.task()
    await _check(recovery, task, Succeeded(one_output().outputs, ("partial result: 1 of 4 failed",)))
    async with transactions.read() as reading:
        detail = await reading.value("SELECT detail FROM task_events WHERE kind = 'checked'")
    assert detail["warnings"] == ["partial result: 1 of 4 failed"]
