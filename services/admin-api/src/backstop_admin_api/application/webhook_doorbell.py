"""Have one task checked because a webhook spoke of it, without a flood of checks when many do.

Time is cut into slots of a few seconds, and a task gets at most one check per slot. The first webhook in a slot asks at
once; a later one asks for the check of the next slot, when nobody has yet. So the check that follows a webhook is never
one that was under way before it, and the last webhook of a burst is looked at too. The inbox's unique key decides.
"""

from __future__ import annotations

from uuid import UUID

from backstop_common.contracts import TaskCheck
from backstop_common.database import Transaction
from backstop_common.ids import event_id

SLOT_SECONDS = 5.0
_CONSUMER = "admin-api.checks-for-webhooks"


def slots_at(now: float) -> tuple[tuple[int, float], tuple[int, float]]:
    """This slot and the next one, each with the seconds until it begins; `now` is seconds since 1970."""
    slot = int(now // SLOT_SECONDS)
    return (slot, 0.0), (slot + 1, (slot + 1) * SLOT_SECONDS - now)


async def ring(tx: Transaction, task_id: UUID, *, provider: str) -> None:
    """Publish `task.check` for now or for the next slot; nothing when that one is asked for already."""
    now: float = await tx.value("SELECT extract(epoch FROM clock_timestamp())::float8")
    for slot, delay_seconds in slots_at(now):
        event = event_id(TaskCheck.type, task_id, "webhook", slot)
        if await tx.first_time(_CONSUMER, event):
            message = TaskCheck(task_id=task_id, reason="webhook", actor=provider)
            await tx.publish(message, event_id=event, delay_seconds=delay_seconds)
            return
