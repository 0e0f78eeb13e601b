"""Open or resolve the incidents "runs of this job fail" and "this provider is down".

1. Once per message (inbox). A dry run proves nothing: it opens and resolves no incident.
2. A failed run opens an incident at the moment it ended, unless one is open (partial unique index): three failed runs
   in a row are one incident. So does each provider that was down during a run, whatever became of the run.
3. A completed run resolves the incident when it started after the incident was opened: a run that was under way
   already proves nothing. A provider has to have answered in that run.
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

RUN_FAILED = "run_failed"
PROVIDER_DOWN = "provider_down"
_LONGEST_SUMMARY = 500


@dataclass(frozen=True, slots=True)
class _Proof:
    """A completed run."""

    run_id: UUID
    started_at: datetime
    completed_at: datetime


@dataclass(frozen=True, slots=True)
class JudgeRun:
    """The rules that look at one run."""

    transactions: Transactions

    async def __call__(self, run: RunFinished, incoming: Delivery) -> None:
        """See the module.

        Raises:
            TransientError: the database is away.
        """
        async with self.transactions.begin() as tx:
            if not await tx.first_time(incoming.consumer, incoming.event_id):
                return
            if run.dry_run:
                return
            await _judge_failure(tx, run)
            await _judge_providers(tx, run)


async def _judge_failure(tx: Transaction, run: RunFinished) -> None:
    if run.status == "completed":
        await _resolve(tx, run.job_name, RUN_FAILED, None, _proof_of(run))
    elif await _open(tx, run, RUN_FAILED, None, f"Run failed: {run.error_message or 'no reason was given'}"):
        proof = await _later_success(tx, run)
        if proof is not None:
            await _resolve(tx, run.job_name, RUN_FAILED, None, proof)


async def _judge_providers(tx: Transaction, run: RunFinished) -> None:
    for provider in run.degraded_providers:
        summary = f"{provider} is down: its tasks wait, none of them has failed"
        await _open(tx, run, PROVIDER_DOWN, provider, summary)
    if run.status != "completed":
        return
    for provider in await _providers_that_answered(tx, run):
        await _resolve(tx, run.job_name, PROVIDER_DOWN, provider, _proof_of(run))


async def _providers_that_answered(tx: Transaction, run: RunFinished) -> list[str]:
    """Those with an open incident whose tasks got a verdict in this run, and that were not down during it."""
    rows = await tx.rows(
        "SELECT provider FROM incidents WHERE rule = :rule AND job_name = :job AND state = 'open'"
        " AND provider <> ALL(CAST(:down AS text[])) AND EXISTS ("
        " SELECT 1 FROM task_events e JOIN tasks t ON t.id = e.task_id"
        " WHERE e.run_id = :run AND t.provider = incidents.provider AND e.verdict NOT IN ('unknown', 'not_asked'))"
        " ORDER BY provider",
        rule=PROVIDER_DOWN,
        job=run.job_name,
        down=list(run.degraded_providers),
        run=run.run_id,
    )
    return [row["provider"] for row in rows]


def _proof_of(run: RunFinished) -> _Proof:
    return _Proof(run.run_id, run.started_at, run.completed_at)


async def _open(tx: Transaction, run: RunFinished, rule: str, provider: str | None, told: str) -> bool:
    # An incident has the id of the message that tells of it: both are made of the same cause.
    cause = (rule, run.job_name, run.run_id) if provider is None else (rule, run.job_name, run.run_id, provider)
    incident = event_id(IncidentOpened.type, *cause)
    summary = fit(clean(told), _LONGEST_SUMMARY)
    inserted = await tx.execute(
        "INSERT INTO incidents (id, rule, job_name, provider, state, summary, run_id, opened_at)"
        " VALUES (:id, :rule, :job_name, :provider, 'open', :summary, :run_id, :opened_at) ON CONFLICT DO NOTHING",
        id=incident,
        rule=rule,
        job_name=run.job_name,
        provider=provider,
        summary=summary,
        run_id=run.run_id,
        opened_at=run.completed_at,
    )
    if inserted:
        message = IncidentOpened(
            incident_id=incident,
            rule=rule,
            job_name=run.job_name,
            provider=provider,
            run_id=run.run_id,
            summary=summary,
            opened_at=run.completed_at,
        )
        await tx.publish(message, event_id=incident, correlation_id=run.run_id)
    return inserted == 1


async def _later_success(tx: Transaction, run: RunFinished) -> _Proof | None:
    row = await tx.row(
        "SELECT id AS run_id, started_at, completed_at FROM cron_job_executions"
        " WHERE job_name = :job_name AND status = 'completed' AND NOT dry_run AND started_at >= :ended_at"
        " ORDER BY started_at, id LIMIT 1",
        job_name=run.job_name,
        ended_at=run.completed_at,
    )
    return None if row is None else _Proof(**row)


async def _resolve(tx: Transaction, job_name: str, rule: str, provider: str | None, proof: _Proof) -> None:
    row = await tx.row(
        "UPDATE incidents SET state = 'resolved', resolved_at = :completed_at"
        " WHERE rule = :rule AND job_name = :job_name AND provider IS NOT DISTINCT FROM CAST(:provider AS text)"
        " AND state = 'open' AND opened_at <= :started_at RETURNING id, summary, opened_at",
        rule=rule,
        job_name=job_name,
        provider=provider,
        started_at=proof.started_at,
        completed_at=proof.completed_at,
    )
    if row is None:
        return
    message = IncidentResolved(
        incident_id=row["id"],
        rule=rule,
        job_name=job_name,
        provider=provider,
        run_id=proof.run_id,
        summary=row["summary"],
        opened_at=row["opened_at"],
        resolved_at=proof.completed_at,
    )
    await tx.publish(message, event_id=event_id(message.type, row["id"]), correlation_id=proof.run_id)
