"""Open or resolve the incident "runs of this job fail".

1. Once per message (inbox).
2. A failed run opens an incident at the moment it ended, unless one is open (partial unique index): three failed runs
   in a row are one incident.
3. A completed run resolves the incident when it started after the incident was opened: a run that was under way
   already proves nothing.
4. Messages come in any order: when a failed run is told late, the first completed run that started after it resolves
   what was just opened, so that no incident waits for a run that is over.
State and events commit together.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from backstop_common.contracts import IncidentOpened, IncidentResolved, RunFinished
from backstop_common.database import Transaction, Transactions
from backstop_common.ids import event_id
from backstop_common.messaging import Delivery
from backstop_notifier.domain.wording import clean, fit

RULE = "run_failed"
_LONGEST_SUMMARY = 500


@dataclass(frozen=True, slots=True)
class _Proof:
    """A completed run."""

    run_id: UUID
    started_at: datetime
    completed_at: datetime


@dataclass(frozen=True, slots=True)
class JudgeRun:
    """The rule for runs that fail as a whole."""

    transactions: Transactions

    async def __call__(self, run: RunFinished, incoming: Delivery) -> None:
        """See the module.

        Raises:
            TransientError: the database is away.
        """
        async with self.transactions.begin() as tx:
            if not await tx.first_time(incoming.consumer, incoming.event_id):
                return
            if run.status == "completed":
                await _resolve(tx, run.job_name, _Proof(run.run_id, run.started_at, run.completed_at))
            elif await _open(tx, run):
                proof = await _later_success(tx, run)
                if proof is not None:
                    await _resolve(tx, run.job_name, proof)


async def _open(tx: Transaction, run: RunFinished) -> bool:
    # An incident has the id of the message that tells of it: both are made of the same cause.
    incident = event_id(IncidentOpened.type, RULE, run.job_name, run.run_id)
    summary = fit(clean(f"Run failed: {run.error_message or 'no reason was given'}"), _LONGEST_SUMMARY)
    inserted = await tx.execute(
        "INSERT INTO incidents (id, rule, job_name, state, summary, run_id, opened_at)"
        " VALUES (:id, :rule, :job_name, 'open', :summary, :run_id, :opened_at) ON CONFLICT DO NOTHING",
        id=incident,
        rule=RULE,
        job_name=run.job_name,
        summary=summary,
        run_id=run.run_id,
        opened_at=run.completed_at,
    )
    if inserted:
        message = IncidentOpened(
            incident_id=incident,
            rule=RULE,
            job_name=run.job_name,
            run_id=run.run_id,
            summary=summary,
            opened_at=run.completed_at,
        )
        await tx.publish(message, event_id=incident, correlation_id=run.run_id)
    return inserted == 1


async def _later_success(tx: Transaction, run: RunFinished) -> _Proof | None:
    row = await tx.row(
        "SELECT id AS run_id, started_at, completed_at FROM cron_job_executions"
        " WHERE job_name = :job_name AND status = 'completed' AND started_at >= :ended_at"
        " ORDER BY started_at, id LIMIT 1",
        job_name=run.job_name,
        ended_at=run.completed_at,
    )
    return None if row is None else _Proof(**row)


async def _resolve(tx: Transaction, job_name: str, proof: _Proof) -> None:
    row = await tx.row(
        "UPDATE incidents SET state = 'resolved', resolved_at = :completed_at"
        " WHERE rule = :rule AND job_name = :job_name AND state = 'open' AND opened_at <= :started_at"
        " RETURNING id, summary, opened_at",
        rule=RULE,
        job_name=job_name,
        started_at=proof.started_at,
        completed_at=proof.completed_at,
    )
    if row is None:
        return
    message = IncidentResolved(
        incident_id=row["id"],
        rule=RULE,
        job_name=job_name,
        run_id=proof.run_id,
        summary=row["summary"],
        opened_at=row["opened_at"],
        resolved_at=proof.completed_at,
    )
    await tx.publish(message, event_id=event_id(message.type, row["id"]), correlation_id=proof.run_id)
