"""The audit finds nothing after honest work, and names what somebody broke by hand."""

from __future__ import annotations

from uuid import UUID

import pytest

from backstop_common.database import Transactions
from backstop_recovery.application.audit_invariants import AuditInvariants
from backstop_recovery.domain.invariants import INVARIANTS
from backstop_recovery.domain.verdict import Failed
from tests.support.factories import Factory
from tests.support.recovery import RecoveryUnderTest

BREAKS = {
    "balance_is_the_ledger": "UPDATE credit_accounts SET balance = balance + 1 WHERE user_id = 'ada'",
    "completed_is_charged": "DELETE FROM credit_transactions WHERE kind = 'charge'",
    "failed_is_given_back": "DELETE FROM credit_transactions WHERE kind = 'release'",
    "frozen_has_its_task": "UPDATE credit_accounts SET frozen_balance = frozen_balance + 1 WHERE user_id = 'ada'",
    "completed_has_assets": "DELETE FROM task_assets",
    "final_has_its_mail": "UPDATE deliveries SET state = 'failed', sent_at = NULL",
    "runs_end": "UPDATE cron_job_executions SET status = 'running', completed_at = NULL, duration = NULL,"
    " deadline_at = now() - interval '1 hour'",
    "messages_leave": "UPDATE outbox SET created_at = now() - interval '2 hours'",
}


@pytest.fixture
async def world(transactions: Transactions) -> dict[str, UUID]:
    """A completed, a failed and an open task of one user, all as the product leaves them."""
    factory = Factory(transactions)
    recovery = RecoveryUnderTest(transactions)
    await factory.job()
    await factory.user("ada", balance=100)
    completed, failed = await factory.task("ada"), await factory.task("ada")
    await factory.task("ada", age_seconds=10)
    recovery.providers.answers[f"p-{failed.hex}"] = Failed("no")
    await recovery.run()
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET finished_at = now() - interval '2 hours' WHERE finished_at IS NOT NULL")
        await tx.execute(
            "INSERT INTO deliveries (id, key, channel, kind, task_id, payload, state, sent_at)"
            " SELECT gen_random_uuid(), id::text, 'email', 'task', id, '{}', 'sent', now() FROM tasks"
            " WHERE finished_at IS NOT NULL"
        )
    return {"completed": completed, "failed": failed}


async def _violated(transactions: Transactions) -> dict[str, tuple[str, ...]]:
    return {
        finding.invariant.name: finding.subjects for finding in await AuditInvariants(transactions)() if finding.count
    }


async def test_honest_work_leaves_nothing_to_find(transactions: Transactions, world: dict[str, UUID]) -> None:
    assert await _violated(transactions) == {}


async def test_an_empty_database_contradicts_nothing(transactions: Transactions) -> None:
    assert await _violated(transactions) == {}


def test_every_invariant_can_be_broken() -> None:
    assert set(BREAKS) == {invariant.name for invariant in INVARIANTS}


@pytest.mark.parametrize("name", BREAKS)
async def test_what_somebody_broke_is_named(transactions: Transactions, world: dict[str, UUID], name: str) -> None:
    async with transactions.begin() as tx:
        assert await tx.execute(BREAKS[name]) > 0
    assert name in await _violated(transactions)


async def test_the_subjects_are_the_ids_to_look_at(transactions: Transactions, world: dict[str, UUID]) -> None:
    async with transactions.begin() as tx:
        await tx.execute(BREAKS["completed_has_assets"])
    assert await _violated(transactions) == {"completed_has_assets": (str(world["completed"]),)}
