"""Pass on what a person decided about withheld failures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4

import structlog

from backstop_common.contracts import LiftHold
from backstop_common.database import Transactions
from backstop_common.ids import event_id

_log = structlog.get_logger(__name__)

Decision = Literal["approve", "recheck"]

_NEWEST = """
    SELECT id, decision, lifted_by, lifted_at FROM failure_holds
    WHERE job_name = :job AND (CAST(:hold AS uuid) IS NULL OR id = :hold)
    ORDER BY lifted_at IS NULL DESC, held_at DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Told:
    """Recovery was told to lift this hold."""

    hold_id: UUID


@dataclass(frozen=True, slots=True)
class AlreadyLifted:
    """Somebody has decided before."""

    decision: str
    lifted_by: str
    lifted_at: datetime


@dataclass(frozen=True, slots=True)
class NoHold:
    """Nothing of this job was ever held, or not by the hold that was named."""


@dataclass(frozen=True, slots=True)
class DecideHold:
    """Tell recovery in a message; with the audit row, in one transaction.

    1. The job's open hold, or the one that the person looked at (`hold_id`): a newer one is not decided blindly.
    2. `hold.lift` in the outbox, and who decided it in the audit log. Of two people who decide at once recovery obeys
       the first.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions

    async def __call__(
        self, job_name: str, decision: Decision, *, actor: str, via: str, note: str, hold_id: UUID | None = None
    ) -> Told | AlreadyLifted | NoHold:
        """Recovery lifts it within moments; the next run checks what was withheld."""
        async with self.transactions.begin() as tx:
            hold = await tx.row(_NEWEST, job=job_name, hold=hold_id)
            if hold is None:
                return NoHold()
            if hold["lifted_at"] is not None:
                return AlreadyLifted(hold["decision"], hold["lifted_by"], hold["lifted_at"])
            await tx.publish(
                LiftHold(hold_id=hold["id"], decision=decision, actor=actor, note=note),
                event_id=event_id(LiftHold.type, hold["id"], decision, uuid4()),
            )
            await tx.execute(
                "INSERT INTO audit_log (actor, action, subject, detail)"
                " VALUES (:actor, :action, :subject, CAST(:detail AS jsonb))",
                actor=actor,
                action=f"hold.{decision}",
                subject=f"hold:{hold['id']}",
                detail=json.dumps({"jobName": job_name, "via": via, "note": note}),
            )
        _log.info("hold_decided", hold_id=str(hold["id"]), decision=decision, actor=actor)
        return Told(hold["id"])
