"""Claim stuck tasks for a run, or one task on its own."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import RowMapping

from backstop_common.database import Transactions
from backstop_recovery.domain.task import Billing, Task

_DUE_FOR_RUN = """
    WITH run AS (SELECT horizon_at FROM cron_job_executions WHERE id = :run AND status = 'running'), due AS (
        SELECT id FROM tasks
        WHERE status = 'processing' AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
            AND next_check_at <= (SELECT horizon_at FROM run)
        ORDER BY output_deadline_at NULLS LAST, submitted_at, id LIMIT :limit FOR UPDATE SKIP LOCKED
    )
"""
_DUE_ALONE = """
    WITH due AS (
        SELECT id FROM tasks
        WHERE status = 'processing' AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
            AND id = :id
        FOR UPDATE SKIP LOCKED
    )
"""
_CLAIM = """
    UPDATE tasks SET lease_holder = :holder, lease_expires_at = clock_timestamp() + make_interval(secs => :lease),
        fence = tasks.fence + 1, run_id = CAST(:run AS uuid)
    FROM due WHERE tasks.id = due.id
    RETURNING tasks.id, user_id, kind, provider, provider_task_id, credits, billing, submitted_at, fence,
        tasks.run_id, check_count, error_count, not_found_count, last_denial, webhook_at IS NOT NULL AS told, metadata
"""


@dataclass(frozen=True, slots=True)
class ClaimTasks:
    """Take tasks for ourselves: a lease by the database's clock, and a new fencing token for each.

    Tasks whose outputs expire first come first, then the oldest. Tasks that another worker holds are skipped, not
    waited for; an expired lease is nobody's.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions
    holder: str
    lease_seconds: float

    async def for_run(self, run_id: UUID, *, limit: int) -> list[Task]:
        """Up to `limit` tasks that were due when the run started; none once the run is over."""
        async with self.transactions.begin() as tx:
            rows = await tx.rows(
                _DUE_FOR_RUN + _CLAIM, run=run_id, holder=self.holder, lease=self.lease_seconds, limit=limit
            )
        return [_task(row) for row in rows]

    async def one(self, task_id: UUID) -> Task | None:
        """This task, outside any run; None when it is final or somebody else has it."""
        async with self.transactions.begin() as tx:
            row = await tx.row(_DUE_ALONE + _CLAIM, id=task_id, run=None, holder=self.holder, lease=self.lease_seconds)
        return None if row is None else _task(row)


def _task(row: RowMapping) -> Task:
    return Task(**{**row, "billing": Billing(row["billing"])})
