"""Making a run due: every way in (schedule, page, API, command, cron endpoint) inserts its tick through here.

A tick is unique by job and slot, and its message has a derived id: asking twice for the same slot makes one run.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from backstop_common.contracts import TickDue
from backstop_common.database.transactions import Transaction
from backstop_common.ids import event_id, run_id, tick_id

Trigger = Literal["schedule", "manual", "cron"]


@dataclass(frozen=True, slots=True)
class Tick:
    """One due slot of a job. `is_new` tells whether this call made it."""

    id: UUID
    run_id: UUID
    is_new: bool


async def insert_tick(
    tx: Transaction,
    *,
    job_name: str,
    slot: str,
    trigger: Trigger,
    actor: str | None,
    scheduled_for: datetime,
    dry_run: bool = False,
) -> Tick:
    """Insert the tick of a slot and its `tick.due`, or find that it is there already.

    The run of a `dry_run` tick asks about every stuck task and changes none.

    Raises:
        IntegrityError: the job does not exist.
    """
    tick = tick_id(job_name, slot)
    run = run_id(tick)
    inserted = await tx.execute(
        "INSERT INTO ticks (id, job_name, slot, trigger, actor, scheduled_for, dry_run)"
        " VALUES (:id, :job_name, :slot, :trigger, :actor, :scheduled_for, :dry_run) ON CONFLICT DO NOTHING",
        id=tick,
        job_name=job_name,
        slot=slot,
        trigger=trigger,
        actor=actor,
        scheduled_for=scheduled_for,
        dry_run=dry_run,
    )
    if inserted:
        await tx.publish(
            TickDue(
                tick_id=tick,
                job_name=job_name,
                slot=slot,
                trigger=trigger,
                actor=actor,
                scheduled_for=scheduled_for,
                dry_run=dry_run,
            ),
            event_id=event_id(TickDue.type, tick),
            correlation_id=run,
        )
    return Tick(tick, run, inserted == 1)
