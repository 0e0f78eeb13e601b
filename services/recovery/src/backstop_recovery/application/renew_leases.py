"""Keep the leases of the tasks this worker is still busy with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from backstop_common.database import Transactions
from backstop_recovery.domain.task import Task


@dataclass(frozen=True, slots=True)
class RenewLeases:
    """Extend leases where the fencing token is still ours; a task somebody took over is left alone.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions
    lease_seconds: float

    async def __call__(self, tasks: Iterable[Task]) -> None:
        """One statement for all of them."""
        held = list(tasks)
        if not held:
            return
        async with self.transactions.begin() as tx:
            await tx.execute(
                "WITH held AS (SELECT t.id FROM tasks t"
                " JOIN unnest(CAST(:ids AS uuid[]), CAST(:fences AS bigint[])) AS h (id, fence)"
                " ON h.id = t.id AND h.fence = t.fence WHERE t.lease_holder IS NOT NULL ORDER BY t.id FOR UPDATE OF t)"
                " UPDATE tasks SET lease_expires_at = clock_timestamp() + make_interval(secs => :lease)"
                " FROM held WHERE tasks.id = held.id",
                lease=self.lease_seconds,
                ids=[task.id for task in held],
                fences=[task.fence for task in held],
            )
