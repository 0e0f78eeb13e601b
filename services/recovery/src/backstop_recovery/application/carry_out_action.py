"""Do what a person decided about one open task."""

from __future__ import annotations

import json
from dataclasses import dataclass

import structlog

from backstop_common.contracts import ActOnTask
from backstop_common.database import Transaction, Transactions
from backstop_common.errors import TransientError
from backstop_common.messaging import Delivery
from backstop_recovery.application.claim_tasks import ClaimTasks
from backstop_recovery.application.metrics import observe_group
from backstop_recovery.application.settle_tasks import SettleTasks
from backstop_recovery.domain.decision import Ending
from backstop_recovery.domain.resolution import Ended

_log = structlog.get_logger(__name__)

BY_HAND = "by_hand"

_OPEN_AGAIN = """
    UPDATE tasks SET status = 'processing', error_count = 0, not_found_count = 0,
        next_check_at = least(next_check_at, clock_timestamp()), updated_at = clock_timestamp()
    WHERE id = :id AND status IN ('processing', 'needs_attention')
"""
_TAKE_OVER = """
    UPDATE tasks SET status = 'processing', fence = fence + 1, lease_holder = NULL, lease_expires_at = NULL,
        approved_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE id = :id AND status IN ('processing', 'needs_attention')
"""
_IGNORE = """
    UPDATE tasks SET status = 'ignored', fence = fence + 1, lease_holder = NULL, lease_expires_at = NULL,
        finished_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE id = :id AND status IN ('processing', 'needs_attention')
"""


@dataclass(frozen=True, slots=True)
class CarryOutAction:
    """A task that has ended meanwhile is left as it is: its first end stands.

    - `recover`: open again where it needed attention, with its failures forgotten, and due at once.
    - `fail`: taken from whoever works on it (a new fence), and settled as failed: the credits go back, the user is
      told. A crash in between leaves an open task, and the message comes again.
    - `ignore`: final; nothing moves and nobody is told. Frozen credits stay frozen: the app settles them itself.

    Raises:
        TransientError: the database is away, or a worker was faster in claiming the task: again.
    """

    transactions: Transactions
    claim_tasks: ClaimTasks
    settle_tasks: SettleTasks

    async def __call__(self, request: ActOnTask, delivery: Delivery) -> bool:
        """Whether the task is to be checked now."""
        match request.action:
            case "recover":
                return await self._changed(request, delivery, _OPEN_AGAIN)
            case "ignore":
                await self._changed(request, delivery, _IGNORE)
                return False
            case "fail":
                await self._fail(request)
                return False

    async def _changed(self, request: ActOnTask, delivery: Delivery, statement: str) -> bool:
        async with self.transactions.begin() as tx:
            if not await tx.first_time(delivery.consumer, delivery.event_id):
                return False
            changed = await tx.execute(statement, id=request.task_id) == 1
            if changed:
                await _record(tx, request)
        _tell(request, carried_out=changed)
        return changed

    async def _fail(self, request: ActOnTask) -> None:
        """No inbox: the guard on the state makes a second time harmless, and a crash half-way has to come again."""
        async with self.transactions.begin() as tx:
            open_still = await tx.execute(_TAKE_OVER, id=request.task_id) == 1
            if open_still:
                await _record(tx, request)
        if open_still:
            task = await self.claim_tasks.one(request.task_id)
            if task is None:
                raise TransientError(f"task {request.task_id} was claimed in the same moment")
            end = Ended(task, BY_HAND, Ending.FAILED, "failed_by_hand", "It was stopped by the team of the app.")
            settled = await self.settle_tasks([end])
            observe_group(settled)
            if settled.lost:
                raise TransientError(f"task {request.task_id} was claimed in the same moment")
        _tell(request, carried_out=open_still)


async def _record(tx: Transaction, request: ActOnTask) -> None:
    await tx.execute(
        "INSERT INTO task_events (task_id, kind, detail) VALUES (:id, :kind, CAST(:detail AS jsonb))",
        id=request.task_id,
        kind=f"{request.action}_requested",
        detail=json.dumps({"actor": request.actor, "note": request.note}),
    )


def _tell(request: ActOnTask, *, carried_out: bool) -> None:
    _log.info(
        "task_action" if carried_out else "task_action_too_late",
        task_id=str(request.task_id),
        action=request.action,
        actor=request.actor,
    )
