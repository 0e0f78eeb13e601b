"""Dry runs for tests: started by the real use case, carried by one worker, and what the whole database looked like."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from backstop_common.contracts import TickDue
from backstop_common.database import Transactions
from backstop_common.ids import event_id, run_id
from backstop_common.messaging import Delivery
from backstop_common.ticks import insert_tick
from backstop_recovery.adapters.unfetched_assets import UnfetchedAssets
from backstop_recovery.application.carry_dry_runs import CarryDryRuns
from backstop_recovery.application.finish_run import FinishRun
from backstop_recovery.application.list_due_tasks import ListDueTasks
from backstop_recovery.application.ports import Providers
from backstop_recovery.application.preview_run import PreviewRun
from backstop_recovery.application.resolve_task import ResolveTask
from backstop_recovery.application.schedule_first_checks import Patience
from backstop_recovery.application.start_run import StartRun
from backstop_recovery.domain.blast_radius import BlastRadius
from backstop_recovery.domain.decision import Policy
from backstop_recovery.domain.policies import Policies
from tests.support.factories import JOB

PATIENCE = [Patience("fal", "image", 120.0, None)]
STUCK_AFTER_SECONDS = 600.0
SILENT_AFTER_SECONDS = 120.0


@dataclass(slots=True)
class DryRunner:
    """One worker that carries dry runs. Several on one database are several replicas."""

    transactions: Transactions
    providers: Providers
    policy: Policy = field(default_factory=Policy)
    limit: BlastRadius = field(default_factory=BlastRadius)
    places: int = 4
    page_size: int = 100
    carry: CarryDryRuns = field(init=False)

    def __post_init__(self) -> None:
        resolve_task = ResolveTask(
            self.providers, UnfetchedAssets(), Policies(self.policy), lambda: datetime.now(UTC), lambda: 0.5
        )
        preview_run = PreviewRun(
            self.transactions,
            ListDueTasks(self.transactions, PATIENCE, STUCK_AFTER_SECONDS, self.page_size),
            resolve_task,
            self.policy,
            self.limit,
            FinishRun(self.transactions),
            asyncio.Semaphore(self.places),
        )
        self.carry = CarryDryRuns(self.transactions, preview_run, FinishRun(self.transactions), SILENT_AFTER_SECONDS)

    async def start(self, slot: str = "dry") -> UUID:
        """Start a dry run through its tick, as recovery does when the tick is delivered."""
        due = await dry_tick(self.transactions, slot)
        await deliver(self.transactions, due)
        return run_id(due.tick_id)

    async def start_pending(self) -> None:
        """Start what somebody asked for in another way."""
        async with self.transactions.read() as reading:
            ticks = await reading.rows("SELECT * FROM ticks WHERE dry_run")
        for tick in ticks:
            await deliver(self.transactions, TickDue.model_validate({**tick, "tick_id": tick["id"]}))

    async def work(self) -> None:
        """Carry what is there until nothing is left."""
        while await self.carry.run_once():
            pass

    async def run(self, slot: str = "dry") -> UUID:
        """Start a dry run and carry it to its end."""
        run = await self.start(slot)
        await self.work()
        return run


async def dry_tick(transactions: Transactions, slot: str) -> TickDue:
    """The tick of a dry run, as a trigger inserts it."""
    now = datetime.now(UTC)
    wish: dict[str, Any] = {"job_name": JOB, "slot": slot, "trigger": "manual", "actor": "ada", "scheduled_for": now}
    async with transactions.begin() as tx:
        tick = await insert_tick(tx, **wish, dry_run=True)
    return TickDue(tick_id=tick.id, **wish, dry_run=True)


async def deliver(transactions: Transactions, due: TickDue) -> None:
    """Hand the tick to the real use case, as often as you like."""
    delivery = Delivery("recovery.tick.due", event_id(TickDue.type, due.tick_id), None)
    await StartRun(transactions, 2, 3600)(due, delivery)


_ROWS = "SELECT xmin || ' ' || t::text AS line FROM {table} t ORDER BY 1"
_UNTOUCHED = (
    "users",
    "tasks",
    "task_assets",
    "task_events",
    "credit_accounts",
    "credit_transactions",
    "deliveries",
    "incidents",
    "audit_log",
    "jobs",
)


async def everything(transactions: Transactions) -> dict[str, list[str]]:
    """All rows that a dry run must not touch, each with the transaction that wrote it: a rewrite shows."""
    async with transactions.read() as reading:
        kept = {table: await reading.rows(_ROWS.format(table=table)) for table in _UNTOUCHED}
        messages = await reading.rows(
            "SELECT o::text AS line FROM outbox o WHERE type NOT LIKE 'run.%' AND type <> 'tick.due' ORDER BY 1"
        )
    return {table: [row["line"] for row in rows] for table, rows in {**kept, "outbox": messages}.items()}


async def run_row(transactions: Transactions, run: UUID) -> dict[str, Any]:
    """The run as the database has it."""
    async with transactions.read() as reading:
        row = await reading.row("SELECT * FROM cron_job_executions WHERE id = :id", id=run)
    assert row is not None
    return {**row, "results": {name: count for name, count in row["results"].items() if name != "blastRadius"}}


async def blast_radius_of(transactions: Transactions, run: UUID) -> dict[str, Any]:
    """What a dry run noted about the limit on failures."""
    async with transactions.read() as reading:
        noted: dict[str, Any] = await reading.value(
            "SELECT results -> 'blastRadius' FROM cron_job_executions WHERE id = :id", id=run
        )
    return noted


async def previews(transactions: Transactions, run: UUID) -> list[dict[str, Any]]:
    """What a dry run told, in its order."""
    async with transactions.read() as reading:
        rows = await reading.rows("SELECT * FROM run_previews WHERE run_id = :id ORDER BY position", id=run)
    return [dict(row) for row in rows]
