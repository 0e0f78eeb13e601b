"""Ask for a run now."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal
from uuid import UUID, uuid4

import structlog

from backstop_common.database import Transaction, Transactions
from backstop_common.ids import run_id, tick_id
from backstop_common.ticks import Tick, insert_tick

_log = structlog.get_logger(__name__)

PENDING_SECONDS = 120
"""How long a tick without a run counts as a run about to start; after that recovery is down, and asking again is
allowed."""

_RUNNING = """
    WITH running AS MATERIALIZED (
        SELECT id, started_at FROM cron_job_executions
        WHERE job_name = :job AND status = 'running' AND dry_run = :dry_run
    )
    SELECT id FROM running ORDER BY started_at DESC LIMIT 1
"""
_PENDING = """
    SELECT id FROM ticks
    WHERE job_name = :job AND dry_run = :dry_run
    AND created_at > statement_timestamp() - make_interval(secs => :seconds)
    AND NOT EXISTS (SELECT 1 FROM cron_job_executions WHERE tick_id = ticks.id)
    ORDER BY created_at DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Requested:
    """There will be a run with this id. `is_new` is False when the same request was made before."""

    run_id: UUID
    is_new: bool


@dataclass(frozen=True, slots=True)
class AlreadyActive:
    """This run is on its way or about to start."""

    run_id: UUID


@dataclass(frozen=True, slots=True)
class NoSuchJob:
    """Nobody has registered a job of this name."""

    job_name: str


@dataclass(frozen=True, slots=True)
class TriggerRun:
    """One tick for one request; recovery starts the run when it takes the tick.

    1. Lock the job's row, so that two requests are decided one after the other.
    2. The same request again (`key`): answer with the run it got the first time.
    3. A person's trigger while a run is active or about to start: `AlreadyActive`. A cron's trigger goes through, and
       the job's overlap policy decides when the run would start. Dry runs are in the way of dry runs only.
    4. Insert the tick; a person's trigger is in the audit log, in the same transaction.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions

    async def by_cron(self, job_name: str, *, key: str | None) -> Requested | NoSuchJob:
        """A call of the cron endpoint."""
        async with self.transactions.begin() as tx:
            if not await _lock(tx, job_name):
                return NoSuchJob(job_name)
            requested = await self._insert(tx, job_name, trigger="cron", actor=None, slot=_slot("cron", key))
        self._tell(requested, job_name, "cron")
        return requested

    async def by_person(
        self, job_name: str, *, actor: str, via: str, key: str | None, dry_run: bool = False
    ) -> Requested | AlreadyActive | NoSuchJob:
        """A trigger from the page or the API. The same key asks for one run and one dry run, whichever is wished."""
        slot = _slot("dry-run" if dry_run else "manual", key)
        async with self.transactions.begin() as tx:
            if not await _lock(tx, job_name):
                return NoSuchJob(job_name)
            if not await _is_known(tx, job_name, slot) and (active := await _active(tx, job_name, dry_run)) is not None:
                return AlreadyActive(active)
            requested = await self._insert(tx, job_name, trigger="manual", actor=actor, slot=slot, dry_run=dry_run)
            if requested.is_new:
                await _audit(tx, job_name, requested.run_id, actor=actor, via=via, dry_run=dry_run)
        self._tell(requested, job_name, "manual", dry_run=dry_run)
        return requested

    async def _insert(
        self,
        tx: Transaction,
        job_name: str,
        *,
        trigger: Literal["manual", "cron"],
        actor: str | None,
        slot: str,
        dry_run: bool = False,
    ) -> Requested:
        tick: Tick = await insert_tick(
            tx,
            job_name=job_name,
            slot=slot,
            trigger=trigger,
            actor=actor,
            scheduled_for=await tx.value("SELECT clock_timestamp()"),
            dry_run=dry_run,
        )
        return Requested(tick.run_id, tick.is_new)

    def _tell(self, requested: Requested, job_name: str, trigger: str, *, dry_run: bool = False) -> None:
        if requested.is_new:
            run = str(requested.run_id)
            _log.info("run_requested", run_id=run, job=job_name, trigger=trigger, dry_run=dry_run)


def _slot(prefix: str, key: str | None) -> str:
    return f"{prefix}:{uuid4() if key is None else key}"


async def _lock(tx: Transaction, job_name: str) -> bool:
    return await tx.value("SELECT 1 FROM jobs WHERE name = :job FOR UPDATE", job=job_name) is not None


async def _is_known(tx: Transaction, job_name: str, slot: str) -> bool:
    return await tx.value("SELECT 1 FROM ticks WHERE id = :id", id=tick_id(job_name, slot)) is not None


async def _active(tx: Transaction, job_name: str, dry_run: bool) -> UUID | None:
    running: UUID | None = await tx.value(_RUNNING, job=job_name, dry_run=dry_run)
    if running is not None:
        return running
    pending = await tx.value(_PENDING, job=job_name, dry_run=dry_run, seconds=float(PENDING_SECONDS))
    return None if pending is None else run_id(pending)


async def _audit(tx: Transaction, job_name: str, run: UUID, *, actor: str, via: str, dry_run: bool) -> None:
    await tx.execute(
        "INSERT INTO audit_log (actor, action, subject, detail)"
        " VALUES (:actor, 'run.trigger', :subject, CAST(:detail AS jsonb))",
        actor=actor,
        subject=f"run:{run}",
        detail=json.dumps({"jobName": job_name, "via": via} | ({"dryRun": True} if dry_run else {})),
    )
