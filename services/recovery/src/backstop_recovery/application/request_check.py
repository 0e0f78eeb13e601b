"""Ask for one task to be checked now."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from backstop_common.contracts import TaskCheck
from backstop_common.database import Transaction, Transactions
from backstop_common.messaging import Delivery
from backstop_recovery.domain.late import LatePolicy, LateSuccess

_DUE = """
    UPDATE tasks SET next_check_at = least(next_check_at, clock_timestamp())
    WHERE id = :id AND status = 'processing'
"""
_DUE_LATE = """
    UPDATE tasks SET next_check_at = least(next_check_at, clock_timestamp())
    WHERE id = :id AND status = 'timed_out' AND finished_at > clock_timestamp() - make_interval(secs => :window)
        AND NOT EXISTS (SELECT 1 FROM task_events e WHERE e.task_id = tasks.id AND e.kind = 'late_success')
"""


@dataclass(frozen=True, slots=True)
class RequestCheck:
    """Make an open task due at once, with a line in its timeline; a final one is left as it is.

    So is a task that we gave up within the window of `late`, unless its late success is known already.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions
    late: LatePolicy = field(default_factory=LatePolicy)

    async def __call__(self, request: TaskCheck, delivery: Delivery) -> bool:
        """Whether there is something to check."""
        async with self.transactions.begin() as tx:
            if not await tx.first_time(delivery.consumer, delivery.event_id):
                return False
            due = await tx.execute(_DUE, id=request.task_id) or await self._due_late(tx, request)
            if due:
                await tx.execute(
                    "INSERT INTO task_events (task_id, kind, detail)"
                    " VALUES (:id, 'check_requested', CAST(:detail AS jsonb))",
                    id=request.task_id,
                    detail=json.dumps({"reason": request.reason, "actor": request.actor}),
                )
        return due == 1

    async def _due_late(self, tx: Transaction, request: TaskCheck) -> int:
        if self.late.action is LateSuccess.IGNORE:
            return 0
        return await tx.execute(_DUE_LATE, id=request.task_id, window=float(self.late.window_seconds))
