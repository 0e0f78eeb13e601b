"""How much is stuck right now, and when a run last ended."""

from __future__ import annotations

from dataclasses import dataclass, field

from backstop_common.database import Transactions
from backstop_recovery.application.metrics import FROZEN, HOLD, LAST_FINISHED, OLDEST_STUCK, STUCK
from backstop_recovery.application.open_providers import OPEN_PROVIDERS

# By ix_tasks_due_by_provider alone, without the table where it has been vacuumed; now() is a bound that an index knows.
_STUCK = f"""
    WITH RECURSIVE {OPEN_PROVIDERS}
    SELECT provider, due.stuck, extract(epoch FROM now() - due.since)::float AS oldest
    FROM open CROSS JOIN LATERAL (
        SELECT count(*) AS stuck, min(t.submitted_at) AS since FROM tasks t
        WHERE t.status = 'processing' AND t.provider = open.provider AND t.next_check_at <= now()
    ) due
    WHERE provider IS NOT NULL AND due.stuck > 0
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class MeasureBacklog:
    """Set the gauges from the database, so that every replica tells the same, also after a restart.

    A provider without stuck tasks goes to zero. What it costs depends on what is stuck, not on what is open.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions
    _known: set[str] = field(default_factory=set)

    async def __call__(self) -> bool:
        """Always False: there is nothing more to do at once."""
        async with self.transactions.read() as reading:
            rows = await reading.rows(_STUCK)
            ended = await reading.rows(
                "SELECT name, (SELECT extract(epoch FROM max(completed_at))::float FROM cron_job_executions"
                " WHERE job_name = name AND status IN ('completed', 'failed') AND NOT dry_run) AS last,"
                " EXISTS (SELECT 1 FROM failure_holds WHERE job_name = name AND lifted_at IS NULL) AS is_held FROM jobs"
            )
            frozen = await reading.value("SELECT coalesce(sum(frozen_balance), 0)::bigint FROM credit_accounts")
        found = {row["provider"]: row for row in rows}
        self._known.update(found)
        for provider in self._known:
            row = found.get(provider)
            STUCK.labels(provider=provider).set(row["stuck"] if row else 0)
            OLDEST_STUCK.labels(provider=provider).set(row["oldest"] if row else 0)
        for job in ended:
            HOLD.labels(job=job["name"]).set(1 if job["is_held"] else 0)
            if job["last"] is not None:
                LAST_FINISHED.labels(job=job["name"]).set(job["last"])
        FROZEN.set(frozen)
        return False
