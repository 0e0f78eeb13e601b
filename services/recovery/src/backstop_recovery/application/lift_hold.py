"""End a hold on failures as a person decided."""

from __future__ import annotations

import json
from dataclasses import dataclass

import structlog

from backstop_common.contracts import LiftHold
from backstop_common.database import Transaction, Transactions
from backstop_common.messaging import Delivery

_log = structlog.get_logger(__name__)

_LIFT = """
    UPDATE failure_holds SET lifted_at = clock_timestamp(), lifted_by = :actor, decision = :decision, note = :note
    WHERE id = :id AND lifted_at IS NULL
"""
# Locked in the order of settling, so that the two never deadlock.
_RELEASE = """
    WITH held AS (
        SELECT id FROM tasks WHERE status = 'processing' AND withheld_at IS NOT NULL ORDER BY id FOR UPDATE
    ), freed AS (
        UPDATE tasks t SET withheld_at = NULL, withheld_outcome = NULL, updated_at = clock_timestamp(),
            approved_at = CASE WHEN :approved THEN clock_timestamp() ELSE t.approved_at END,
            next_check_at = least(t.next_check_at, clock_timestamp())
        FROM held WHERE t.id = held.id RETURNING t.id
    )
    INSERT INTO task_events (task_id, kind, detail) SELECT id, 'hold_lifted', CAST(:detail AS jsonb) FROM freed
"""


@dataclass(frozen=True, slots=True)
class LiftFailureHold:
    """The withheld tasks are due at once, and the next run asks their providers once more.

    1. Lift the hold, if it is open still: of two people who decide at once, the first one did.
    2. `approve`: what is withheld now may end, whatever the limit says. `recheck`: nothing is approved, and a run that
       finds the same again stops again.

    What is withheld belongs to no job, so that it is freed by whichever hold is lifted.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions

    async def __call__(self, request: LiftHold, delivery: Delivery) -> bool:
        """Whether this decision was the one that counted."""
        async with self.transactions.begin() as tx:
            if not await tx.first_time(delivery.consumer, delivery.event_id):
                return False
            lifted = (
                await tx.execute(
                    _LIFT, id=request.hold_id, actor=request.actor, decision=request.decision, note=request.note
                )
                == 1
            )
            freed = await _release(tx, request) if lifted else 0
        _log.info(
            "hold_lifted" if lifted else "hold_lifted_before",
            hold_id=str(request.hold_id),
            decision=request.decision,
            actor=request.actor,
            tasks=freed,
        )
        return lifted


async def _release(tx: Transaction, request: LiftHold) -> int:
    return await tx.execute(
        _RELEASE,
        approved=request.decision == "approve",
        detail=json.dumps({"decision": request.decision, "actor": request.actor, "note": request.note}),
    )
