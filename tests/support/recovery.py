"""Recovery with a scripted provider and store: everything else, the database included, is real."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

from backstop_common.contracts import TickDue
from backstop_common.database import Transactions
from backstop_common.errors import PermanentError, TransientError
from backstop_common.ids import event_id, run_id, tick_id
from backstop_common.messaging import Delivery
from backstop_recovery.application.beat_active_runs import BeatActiveRuns
from backstop_recovery.application.check_late import CheckLate
from backstop_recovery.application.claim_late import ClaimLate
from backstop_recovery.application.claim_tasks import ClaimTasks
from backstop_recovery.application.finish_run import FinishRun
from backstop_recovery.application.ports import Reference, StoredAsset
from backstop_recovery.application.renew_leases import RenewLeases
from backstop_recovery.application.resolve_task import ResolveTask
from backstop_recovery.application.settle_in_groups import SettleInGroups
from backstop_recovery.application.settle_late import SettleLate
from backstop_recovery.application.settle_tasks import SettleTasks
from backstop_recovery.application.settle_within_limit import SettleWithinLimit
from backstop_recovery.application.start_run import StartRun
from backstop_recovery.application.sweep import Sweep
from backstop_recovery.domain.blast_radius import BlastRadius
from backstop_recovery.domain.decision import Policy
from backstop_recovery.domain.policies import Policies
from backstop_recovery.domain.verdict import Output, OutputRole, Succeeded, Verdict
from tests.support.factories import JOB


def one_output() -> Succeeded:
    return Succeeded((Output(0, OutputRole.PRIMARY, url="https://files.example/0.mp4"),))


@dataclass(slots=True)
class ScriptedProviders:
    """Answers by provider id; what has no script succeeded with one output."""

    answers: dict[str, Verdict] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def check(self, reference: Reference) -> Verdict:
        self.asked.append(reference.id)
        return self.answers.get(reference.id) or one_output()


@dataclass(slots=True)
class DictAssets:
    """Keeps what was copied; `failures` raise instead, by provider id."""

    failures: dict[str, TransientError | PermanentError] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)

    async def copy(self, *, reference: Reference, task_id: UUID, fence: int, output: Output) -> StoredAsset:
        if reference.id in self.failures:
            raise self.failures[reference.id]
        content = f"{task_id}/{output.index}".encode()
        key = f"{task_id}/{fence}-{output.index}.mp4"
        self.stored[key] = content
        return StoredAsset(
            output.index, output.role, key, len(content), hashlib.sha256(content).hexdigest(), "video/mp4"
        )


@dataclass(slots=True)
class RecoveryUnderTest:
    """One worker. Several on one database are several replicas."""

    transactions: Transactions
    providers: ScriptedProviders = field(default_factory=ScriptedProviders)
    assets: DictAssets = field(default_factory=DictAssets)
    policy: Policy = field(default_factory=Policy)
    limit: BlastRadius = field(default_factory=BlastRadius)
    lease_seconds: float = 60.0
    holder: str = field(default_factory=lambda: f"worker-{uuid4().hex[:6]}")

    @property
    def claim_tasks(self) -> ClaimTasks:
        return ClaimTasks(self.transactions, self.holder, self.lease_seconds)

    @property
    def resolve_task(self) -> ResolveTask:
        return ResolveTask(self.providers, self.assets, Policies(self.policy), lambda: datetime.now(UTC), lambda: 0.5)

    @property
    def settle_tasks(self) -> SettleTasks:
        return SettleTasks(self.transactions, "https://cdn.example", limit=self.limit)

    @property
    def settle_within_limit(self) -> SettleWithinLimit:
        return SettleWithinLimit(self.transactions, self.settle_tasks, self.finish_run)

    @property
    def finish_run(self) -> FinishRun:
        return FinishRun(self.transactions)

    def check_late(self) -> CheckLate:
        return CheckLate(
            claim_late=ClaimLate(self.transactions, self.holder, self.lease_seconds),
            settle_late=SettleLate(self.transactions),
            providers=self.providers,
            assets=self.assets,
            renew=RenewLeases(self.transactions, self.lease_seconds),
            policy=self.policy.late,
        )

    def sweep(self) -> Sweep:
        return Sweep(
            claim_tasks=self.claim_tasks,
            resolve_task=self.resolve_task,
            settle=SettleInGroups(self.settle_within_limit, self.policy, longest_wait_seconds=0.01),
            finish_run=self.finish_run,
            beat_active_runs=BeatActiveRuns(self.transactions, 120),
            renew=RenewLeases(self.transactions, self.lease_seconds),
            concurrency=16,
            batch_size=50,
        )

    async def start_run(self, slot: str = "slot", *, trigger: str = "schedule") -> UUID:
        """Start the run of a slot through the real use case; the job has to exist."""
        tick = tick_id(JOB, slot)
        now = datetime.now(UTC)
        async with self.transactions.begin() as tx:
            await tx.execute(
                "INSERT INTO ticks (id, job_name, slot, trigger, scheduled_for)"
                " VALUES (:id, :job, :slot, :trigger, :at) ON CONFLICT DO NOTHING",
                id=tick,
                job=JOB,
                slot=slot,
                trigger=trigger,
                at=now,
            )
        due = TickDue.model_validate(
            {"tick_id": tick, "job_name": JOB, "slot": slot, "trigger": trigger, "scheduled_for": now}
        )
        await StartRun(self.transactions, 2, 3600)(
            due, Delivery("recovery.tick.due", event_id(TickDue.type, tick), None)
        )
        return run_id(tick)

    async def run(self, slot: str = "slot") -> UUID:
        """Start a run and work until nothing is left to do."""
        started = await self.start_run(slot)
        sweep = self.sweep()
        while await sweep.run_once():
            pass
        return started


LEDGER_TRUTHS = {
    "balances differ from the ledger": """
        SELECT a.user_id FROM credit_accounts a LEFT JOIN credit_transactions t USING (user_id) GROUP BY a.user_id
        HAVING a.balance <> coalesce(sum(t.balance_change), 0)
            OR a.frozen_balance <> coalesce(sum(t.frozen_change), 0)
            OR a.total_spent <> coalesce(sum(t.amount) FILTER (WHERE t.kind = 'charge'), 0)""",
    "completed without its charge, or charged without being completed": """
        SELECT t.id FROM tasks t LEFT JOIN credit_transactions c ON c.task_id = t.id AND c.kind = 'charge'
        WHERE (t.status = 'completed' AND t.credits > 0 AND t.billing IN ('hold', 'on_success'))
            <> (c.id IS NOT NULL)""",
    "completed without an asset": """
        SELECT t.id FROM tasks t WHERE t.status = 'completed'
        AND NOT EXISTS (SELECT 1 FROM task_assets a WHERE a.task_id = t.id)""",
    "held credits of a failed task were not released": """
        SELECT t.id FROM tasks t LEFT JOIN credit_transactions c ON c.task_id = t.id AND c.kind = 'release'
        WHERE t.billing = 'hold' AND t.credits > 0
            AND (t.status IN ('failed', 'cancelled', 'expired', 'asset_lost', 'timed_out')) <> (c.id IS NOT NULL)""",
}
"""Questions whose answer must be none, in SQL that uses no product code."""


async def broken_truths(transactions: Transactions) -> dict[str, list[object]]:
    """The questions that have an answer; empty when money and labels agree."""
    async with transactions.read() as reading:
        found = {
            name: [next(iter(row.values())) for row in await reading.rows(sql)] for name, sql in LEDGER_TRUTHS.items()
        }
    return {name: rows for name, rows in found.items() if rows}
