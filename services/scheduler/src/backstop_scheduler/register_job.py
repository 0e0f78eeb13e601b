"""Put a job's schedule from the configuration into the database."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from backstop_common.database import Transactions

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RegisterJob:
    """Insert the job, or change its schedule; a pause and the overlap policy are left alone.

    A changed schedule counts from now on: slots that the new one would have had earlier are not caught up.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions

    async def __call__(self, *, name: str, schedule: str, timezone: str) -> bool:
        """True when something was written."""
        async with self.transactions.begin() as tx:
            changed = await tx.execute(
                "INSERT INTO jobs (name, schedule, timezone, scheduled_from)"
                " VALUES (:name, :schedule, :timezone, clock_timestamp())"
                " ON CONFLICT (name) DO UPDATE SET schedule = excluded.schedule, timezone = excluded.timezone,"
                " scheduled_from = clock_timestamp(), updated_at = clock_timestamp()"
                " WHERE (jobs.schedule, jobs.timezone) IS DISTINCT FROM (excluded.schedule, excluded.timezone)",
                name=name,
                schedule=schedule,
                timezone=timezone,
            )
        if changed:
            _log.info("job_scheduled", job=name, schedule=schedule, timezone=timezone)
        return changed == 1
