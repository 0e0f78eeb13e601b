"""Claim tasks that we gave up and that are due for a late look."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import RowMapping

from backstop_common.database import Transactions
from backstop_recovery.domain.late import LateTask
from backstop_recovery.domain.task import Billing, Task

_CLAIM = """
    WITH due AS (
        SELECT id FROM tasks
        WHERE status = 'timed_out' AND next_check_at <= clock_timestamp() AND provider_task_id IS NOT NULL
            AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
            AND provider <> ALL (CAST(:busy AS text[]))
        ORDER BY next_check_at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    UPDATE tasks SET lease_holder = :holder, lease_expires_at = clock_timestamp() + make_interval(secs => :lease),
        fence = tasks.fence + 1
    FROM due WHERE tasks.id = due.id
    RETURNING tasks.id, user_id, kind, provider, provider_task_id, credits, billing, submitted_at, fence,
        tasks.run_id, check_count, metadata, extract(epoch FROM clock_timestamp() - finished_at)::float AS since
"""


@dataclass(frozen=True, slots=True)
class ClaimLate:
    """A lease by the database's clock and a new fencing token for each, as for open tasks; the status stays.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions
    holder: str
    lease_seconds: float

    async def __call__(self, *, limit: int, busy: Collection[str] = ()) -> list[LateTask]:
        """Up to `limit` tasks, those due longest first; none of the providers in `busy`."""
        async with self.transactions.begin() as tx:
            rows = await tx.rows(_CLAIM, holder=self.holder, lease=self.lease_seconds, limit=limit, busy=list(busy))
        return [_late(row) for row in rows]


def _late(row: RowMapping) -> LateTask:
    values = {name: value for name, value in row.items() if name != "since"}
    task = Task(**{**values, "billing": Billing(row["billing"])})
    return LateTask(task, row["provider_task_id"], row["since"])
