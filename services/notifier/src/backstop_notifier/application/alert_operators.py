"""Tell operators that an incident was opened or resolved: one delivery per configured chat.

1. Once per message (inbox) and once per incident, kind and chat (the delivery's key).
2. Read the run it speaks of: duration, results and error are frozen as facts.
3. "Resolved" may arrive before "opened": then the opening is planned here too, and `send_deliveries` holds the
   resolution back until the opening is out, so that no chat ends on an alert that is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import RowMapping

from backstop_common.contracts import IncidentOpened, IncidentResolved
from backstop_common.database import Transaction, Transactions
from backstop_common.messaging import Delivery
from backstop_notifier.application.plan_delivery import plan_delivery
from backstop_notifier.domain.delivery import Channel, Kind
from backstop_notifier.domain.facts import AlertFacts, RunFacts

Event = IncidentOpened | IncidentResolved


@dataclass(frozen=True, slots=True)
class AlertOperators:
    """`chats` are the configured ones; none is fine."""

    transactions: Transactions
    chats: tuple[Channel, ...]

    async def __call__(self, event: Event, incoming: Delivery) -> None:
        """See the module.

        Raises:
            TransientError: the database is away.
        """
        async with self.transactions.begin() as tx:
            if not await tx.first_time(incoming.consumer, incoming.event_id):
                return
            if isinstance(event, IncidentResolved):
                opening = await _opening_of(tx, event)
                if opening is not None:
                    await self._plan(tx, opening)
            await self._plan(tx, event)

    async def _plan(self, tx: Transaction, event: Event) -> None:
        resolved = isinstance(event, IncidentResolved)
        facts = AlertFacts(
            rule=event.rule,
            job_name=event.job_name,
            provider=event.provider,
            summary=event.summary,
            run=await _run_facts(tx, event.run_id),
            opened_at=event.opened_at,
            resolved_at=event.resolved_at if isinstance(event, IncidentResolved) else None,
        )
        for chat in self.chats:
            await plan_delivery(
                tx,
                channel=chat,
                kind=Kind.INCIDENT_RESOLVED if resolved else Kind.INCIDENT_OPENED,
                subject=event.incident_id,
                payload=facts.as_payload(),
                run_id=event.run_id,
                incident_id=event.incident_id,
            )


async def _opening_of(tx: Transaction, event: IncidentResolved) -> IncidentOpened | None:
    row = await tx.row(
        "SELECT id AS incident_id, rule, job_name, provider, run_id, summary, opened_at FROM incidents WHERE id = :id",
        id=event.incident_id,
    )
    return None if row is None else IncidentOpened(**row)


async def _run_facts(tx: Transaction, run_id: UUID | None) -> RunFacts | None:
    if run_id is None:
        return None
    row = await tx.row(
        "SELECT id, status, duration, results, error_message FROM cron_job_executions WHERE id = :id", id=run_id
    )
    return None if row is None else _facts_of(row)


def _facts_of(row: RowMapping) -> RunFacts:
    results = row["results"]
    return RunFacts(
        id=str(row["id"]),
        status=row["status"],
        duration_ms=row["duration"],
        error_message=row["error_message"],
        completed=results.get("completed", 0),
        failed=results.get("failed", 0),
        errors=results.get("errors", 0),
    )
