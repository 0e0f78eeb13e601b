"""Start the run of a tick."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import RowMapping

from backstop_common.contracts import RunStarted, RunSweep, TickDue
from backstop_common.database import Transaction, Transactions
from backstop_common.errors import PermanentError
from backstop_common.ids import event_id, run_id
from backstop_common.messaging import Delivery
from backstop_common.outbox.writing import Envelope

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StartRun:
    """One run per tick, or a row that says why there is none.

    1. Lock the job's row: two ticks of one job are decided one after the other.
    2. Paused (a manual trigger works all the same) or already running with overlap `skip`: insert the run as
       `skipped`, with the reason. Dry runs and others are in each other's way never.
    3. Otherwise insert it as `running`: its horizon, the moment up to which tasks are due for it, is now. So is its
       heartbeat, by which whoever carries a dry run sees that nobody does yet.
    4. Write one `run.sweep` doorbell per replica that may help (a dry run is carried by one), and `run.started`.

    Raises:
        PermanentError: there is no such job.
        TransientError: the database is away.
    """

    transactions: Transactions
    parallelism: int
    deadline_seconds: float

    async def __call__(self, tick: TickDue, delivery: Delivery) -> None:
        """Idempotent: the inbox and the unique tick make a second call change nothing."""
        run = run_id(tick.tick_id)
        async with self.transactions.begin() as tx:
            if not await tx.first_time(delivery.consumer, delivery.event_id):
                return
            job = await tx.row("SELECT paused_at, overlap FROM jobs WHERE name = :name FOR UPDATE", name=tick.job_name)
            reason = await self._reason_to_skip(tx, tick, job)
            started_at = await self._insert(tx, run, tick, reason)
            if started_at is None:
                return
            if reason is None:
                await tx.publish_all(self._messages(run, tick, started_at))
        _log.info(
            "run_skipped" if reason else "run_started",
            run_id=str(run),
            job=tick.job_name,
            dry_run=tick.dry_run,
            reason=reason,
        )

    async def _reason_to_skip(self, tx: Transaction, tick: TickDue, job: RowMapping | None) -> str | None:
        if job is None:
            raise PermanentError(f"there is no job {tick.job_name!r}")
        if job["paused_at"] is not None and tick.trigger == "schedule" and not tick.dry_run:
            return "the job is paused"
        if job["overlap"] == "skip":
            active = await tx.value(
                "SELECT id FROM cron_job_executions"
                " WHERE job_name = :job AND status = 'running' AND dry_run = :dry_run LIMIT 1",
                job=tick.job_name,
                dry_run=tick.dry_run,
            )
            if active is not None:
                return f"{'dry run' if tick.dry_run else 'run'} {active} is still active"
        return None

    async def _insert(self, tx: Transaction, run: UUID, tick: TickDue, reason: str | None) -> datetime | None:
        started_at: datetime | None = await tx.value(
            "INSERT INTO cron_job_executions (id, job_name, tick_id, trigger, actor, dry_run, scheduled_for,"
            " started_at, completed_at, duration, status, results, error_message, horizon_at, heartbeat_at,"
            " deadline_at)"
            " SELECT :run, :job, :tick, :trigger, :actor, :dry_run, :scheduled_for, t.now,"
            " CASE WHEN :skipped THEN t.now END, CASE WHEN :skipped THEN 0 END,"
            " CASE WHEN :skipped THEN 'skipped' ELSE 'running' END,"
            """ '{"completed": 0, "failed": 0, "stillProcessing": 0, "errors": 0, "totalFound": 0}'::jsonb,"""
            " :reason, t.now, t.now, t.now + make_interval(secs => :deadline) FROM (SELECT clock_timestamp() AS now) t"
            " ON CONFLICT DO NOTHING RETURNING started_at",
            run=run,
            job=tick.job_name,
            tick=tick.tick_id,
            trigger=tick.trigger,
            actor=tick.actor,
            dry_run=tick.dry_run,
            scheduled_for=tick.scheduled_for,
            skipped=reason is not None,
            reason=reason,
            deadline=self.deadline_seconds,
        )
        return started_at

    def _messages(self, run: UUID, tick: TickDue, started_at: datetime) -> list[Envelope]:
        started = RunStarted(
            run_id=run,
            job_name=tick.job_name,
            trigger=tick.trigger,
            actor=tick.actor,
            scheduled_for=tick.scheduled_for,
            started_at=started_at,
            dry_run=tick.dry_run,
        )
        bells = [
            Envelope.of(
                RunSweep(run_id=run, bell=bell), event_id=event_id(RunSweep.type, run, bell), correlation_id=run
            )
            for bell in range(1 if tick.dry_run else self.parallelism)
        ]
        return [*bells, Envelope.of(started, event_id=event_id(RunStarted.type, run), correlation_id=run)]
