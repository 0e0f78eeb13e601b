"""Read the open hold on a job's failures: why it is there, and what waits for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from backstop_common.database import Transactions

_HOLD = """
    SELECT id, job_name, run_id, failed_count, checked_count, limit_percent, held_at FROM failure_holds
    WHERE job_name = :job AND lifted_at IS NULL
"""
_WITHHELD = """
    SELECT provider, withheld_outcome AS outcome, count(*) AS tasks,
        coalesce(sum(credits) FILTER (WHERE billing IN ('hold', 'prepaid')), 0)::bigint AS credits_returned
    FROM tasks WHERE status = 'processing' AND withheld_at IS NOT NULL
    GROUP BY provider, withheld_outcome ORDER BY provider, withheld_outcome
"""


@dataclass(frozen=True, slots=True)
class WithheldTasks:
    """The tasks of one provider that would end in one way, and the credits that would go back to their users."""

    provider: str
    outcome: str
    tasks: int
    credits_returned: int


@dataclass(frozen=True, slots=True)
class Hold:
    """A run would have failed `failed_count` of `checked_count` tasks, and stopped.

    Tasks belong to no job: `withheld` is all that waits, also what other runs and single checks added.
    """

    id: UUID
    job_name: str
    run_id: UUID
    failed_count: int
    checked_count: int
    limit_percent: int
    held_at: datetime
    withheld: Sequence[WithheldTasks]

    @property
    def tasks(self) -> int:
        """How many tasks wait."""
        return sum(line.tasks for line in self.withheld)

    @property
    def credits_returned(self) -> int:
        """The credits that would go back to the users."""
        return sum(line.credits_returned for line in self.withheld)


@dataclass(frozen=True, slots=True)
class ReadHold:
    """The hold and what it holds, in one snapshot.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions

    async def __call__(self, job_name: str) -> Hold | None:
        """None while nothing of the job is held."""
        async with self.transactions.read() as reading:
            hold = await reading.row(_HOLD, job=job_name)
            if hold is None:
                return None
            withheld = await reading.rows(_WITHHELD)
        return Hold(**hold, withheld=[WithheldTasks(**row) for row in withheld])
