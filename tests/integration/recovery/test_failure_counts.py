"""Failures of ours and denials of others are counted apart, in a row, and our ignorance changes neither count."""

from __future__ import annotations

from uuid import UUID

import pytest

from backstop_common.database import Transactions
from backstop_common.errors import PermanentError, TransientError
from backstop_recovery.application.errors import OutputGoneError
from backstop_recovery.domain.decision import Policy
from backstop_recovery.domain.verdict import NotFound, StillRunning, Unknown, UnknownReason, Verdict
from tests.support.factories import Factory
from tests.support.recovery import RecoveryUnderTest, broken_truths

AWAY = TransientError("the store is away")
GONE = OutputGoneError("404")
IGNORANCE = Unknown(UnknownReason.SERVER_ERROR, "500")
DENIAL = NotFound("no such id")
RUNNING = StillRunning(queued=False, state="processing")

What = Verdict | TransientError | PermanentError


@pytest.fixture
async def factory(transactions: Transactions) -> Factory:
    factory = Factory(transactions)
    await factory.job()
    return factory


@pytest.fixture
def recovery(transactions: Transactions) -> RecoveryUnderTest:
    policy = Policy(own_failures_until_attention=5, not_found_confirmations=3, not_found_grace_seconds=0)
    return RecoveryUnderTest(transactions, policy=policy)


async def _check(recovery: RecoveryUnderTest, task: UUID, *each: What) -> None:
    """One run for each, in which the provider says it, or the copy of its output fails with it."""
    provider_task_id = f"p-{task.hex}"
    for number, what in enumerate(each):
        recovery.providers.answers.clear()
        recovery.assets.failures.clear()
        if isinstance(what, TransientError | PermanentError):
            recovery.assets.failures[provider_task_id] = what
        else:
            recovery.providers.answers[provider_task_id] = what
        async with recovery.transactions.begin() as tx:
            await tx.execute("UPDATE tasks SET next_check_at = now() WHERE status = 'processing'")
        await recovery.run(f"slot-{number}")


async def _counts(transactions: Transactions) -> tuple[int, int]:
    async with transactions.read() as reading:
        row = await reading.row("SELECT error_count, not_found_count FROM tasks")
    assert row is not None
    return row["error_count"], row["not_found_count"]


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        ((AWAY, AWAY), (2, 0)),
        ((DENIAL, DENIAL), (0, 2)),
        ((GONE, GONE), (0, 2)),
        ((AWAY, GONE), (1, 1)),
        ((GONE, AWAY), (1, 1)),
        ((DENIAL, AWAY), (1, 0)),
        ((DENIAL, GONE), (0, 1)),
        ((GONE, DENIAL), (0, 1)),
        ((AWAY, IGNORANCE), (1, 0)),
        ((DENIAL, IGNORANCE), (0, 1)),
        ((GONE, IGNORANCE), (0, 1)),
        ((AWAY, RUNNING), (0, 0)),
        ((DENIAL, RUNNING), (0, 0)),
        ((GONE, RUNNING), (0, 0)),
    ],
    ids=[
        "two failures of ours",
        "two denials of the id",
        "two denials of the file",
        "a failure of ours and a denial of the file",
        "a denial of the file and a failure of ours",
        "a success that we fail on ends the row of denials of the id",
        "a denial of the file does not go on with those of the id",
        "a denial of the id does not go on with those of the file",
        "ignorance keeps our failures",
        "ignorance keeps the denials of the id",
        "ignorance keeps the denials of the file",
        "an answer ends the row of our failures",
        "an answer ends the row of denials of the id",
        "an answer ends the row of denials of the file",
    ],
)
async def test_checks_add_up_to_counts(
    transactions: Transactions,
    factory: Factory,
    recovery: RecoveryUnderTest,
    checks: tuple[What, ...],
    expected: tuple[int, int],
) -> None:
    await _check(recovery, await factory.task(), *checks)
    assert await _counts(transactions) == expected


async def test_a_person_has_to_look_although_the_provider_is_down_between_our_failures(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    await _check(recovery, await factory.task(), AWAY, AWAY, IGNORANCE, AWAY, AWAY, IGNORANCE, AWAY)
    async with transactions.read() as reading:
        assert await reading.value("SELECT status FROM tasks") == "needs_attention"


async def test_a_file_that_is_gone_three_times_is_lost_and_gives_the_credits_back(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    await _check(recovery, await factory.task(), GONE, GONE, GONE)
    async with transactions.read() as reading:
        assert await reading.value("SELECT status FROM tasks") == "asset_lost"
        assert await reading.value("SELECT frozen_balance FROM credit_accounts") == 0
    assert await broken_truths(transactions) == {}


async def test_failures_of_our_store_between_its_denials_do_not_keep_a_lost_file_open_for_ever(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    await _check(recovery, await factory.task(), GONE, AWAY, GONE, AWAY, GONE)
    async with transactions.read() as reading:
        assert await reading.value("SELECT status FROM tasks") == "asset_lost"


async def test_two_failures_of_our_store_do_not_confirm_that_a_file_is_gone(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    await _check(recovery, await factory.task(), AWAY, AWAY, GONE)
    async with transactions.read() as reading:
        assert await reading.value("SELECT status FROM tasks") == "processing"
