"""Ask for one task to be checked now."""

from __future__ import annotations

import json
from dataclasses import dataclass

from backstop_common.contracts import TaskCheck
from backstop_common.database import Transactions
from backstop_common.messaging import Delivery


@dataclass(frozen=True, slots=True)
class RequestCheck:
    """Make an open task due at once, with a line in its timeline; a final one is left as it is.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions

    async def __call__(self, request: TaskCheck, delivery: Delivery) -> bool:
        """Whether there is something to check."""
        async with self.transactions.begin() as tx:
            if not await tx.first_time(delivery.consumer, delivery.event_id):
                return False
            due = await tx.execute(
                "UPDATE tasks SET next_check_at = least(next_check_at, clock_timestamp())"
                " WHERE id = :id AND status = 'processing'",
                id=request.task_id,
            )
            if due:
                await tx.execute(
                    "INSERT INTO task_events (task_id, kind, detail)"
                    " VALUES (:id, 'check_requested', CAST(:detail AS jsonb))",
                    id=request.task_id,
                    detail=json.dumps({"reason": request.reason, "actor": request.actor}),
                )
        return due == 1
