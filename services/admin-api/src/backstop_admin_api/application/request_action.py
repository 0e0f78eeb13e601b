"""Pass on what a person decided about one task."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal
from uuid import UUID, uuid4

import structlog

from backstop_common.contracts import ActOnTask
from backstop_common.database import Transactions
from backstop_common.ids import event_id

_log = structlog.get_logger(__name__)

Action = Literal["recover", "fail", "ignore"]
_OPEN = frozenset({"processing", "needs_attention"})


@dataclass(frozen=True, slots=True)
class Accepted:
    """Recovery has been told."""

    task_id: UUID


@dataclass(frozen=True, slots=True)
class AlreadyEnded:
    """The task has this final status, and keeps it."""

    status: str


@dataclass(frozen=True, slots=True)
class NoSuchTask:
    """Nobody registered it."""


@dataclass(frozen=True, slots=True)
class RequestAction:
    """Tell recovery in a message; with the audit row, in one transaction.

    1. The task must be there and open. Whether it still is when recovery gets to it, recovery decides under its guard.
    2. `task.act` in the outbox, and who asked for it in the audit log. Asking twice has the effect of asking once.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions

    async def __call__(
        self, task_id: UUID, action: Action, *, actor: str, via: str, note: str | None
    ) -> Accepted | AlreadyEnded | NoSuchTask:
        """Recovery carries it out within moments."""
        async with self.transactions.begin() as tx:
            status: str | None = await tx.value("SELECT status FROM tasks WHERE id = :id", id=task_id)
            if status is None:
                return NoSuchTask()
            if status not in _OPEN:
                return AlreadyEnded(status)
            await tx.publish(
                ActOnTask(task_id=task_id, action=action, actor=actor, note=note),
                event_id=event_id(ActOnTask.type, task_id, action, uuid4()),
            )
            await tx.execute(
                "INSERT INTO audit_log (actor, action, subject, detail)"
                " VALUES (:actor, :action, :subject, CAST(:detail AS jsonb))",
                actor=actor,
                action=f"task.{action}",
                subject=f"task:{task_id}",
                detail=json.dumps({"via": via, "note": note}),
            )
        _log.info("task_action_requested", task_id=str(task_id), action=action, actor=actor)
        return Accepted(task_id)
