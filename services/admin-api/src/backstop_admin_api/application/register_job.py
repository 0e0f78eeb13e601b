"""Make sure that the job exists, for an installation whose only scheduler is somebody else's cron."""

from __future__ import annotations

from dataclasses import dataclass

from backstop_common.database import Transactions


@dataclass(frozen=True, slots=True)
class RegisterJob:
    """Insert the job with the default schedule when it is missing; Backstop's own scheduler overrules it.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions

    async def __call__(self, name: str) -> None:
        """Idempotent."""
        async with self.transactions.begin() as tx:
            await tx.execute(
                "INSERT INTO jobs (name, schedule) VALUES (:name, '*/10 * * * *') ON CONFLICT DO NOTHING", name=name
            )
