"""Read one run."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from backstop_admin_api.application.run import RUN_COLUMNS, Run
from backstop_common.database import Transactions


@dataclass(frozen=True, slots=True)
class ReadRun:
    """By its id. A run whose tick recovery has not taken yet is not there.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions

    async def __call__(self, run_id: UUID) -> Run | None:
        """The run, or None."""
        async with self.transactions.read() as reading:
            row = await reading.row(f"SELECT {RUN_COLUMNS} FROM cron_job_executions WHERE id = :id", id=run_id)  # noqa: S608 - columns are a constant
        return None if row is None else Run.of(row)
