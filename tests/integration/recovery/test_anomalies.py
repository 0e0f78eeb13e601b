"""What goes wrong between two steps, one anomaly per test: crashes around an upload and a commit, clocks, lost answers.

The table of all anomalies and their tests is docs/anomalies.md; races in every order of their statements are in
tests/faults/test_interleavings.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from backstop_common.database import Transactions
from backstop_recovery.application.ports import Reference, StoredAsset
from backstop_recovery.application.resolve_task import ResolveTask
from backstop_recovery.application.settle_in_groups import SettleInGroups
from backstop_recovery.domain.policies import Policies
from backstop_recovery.domain.resolution import Resolution
from backstop_recovery.domain.verdict import Output, StillRunning
from tests.support.factories import Factory
from tests.support.interleaving.actors import Actor
from tests.support.interleaving.memory import Memory
from tests.support.interleaving.stage import Stage
from tests.support.recovery import DictAssets, RecoveryUnderTest, broken_truths

HOUR = timedelta(hours=1)


@dataclass(slots=True)
class GatedAssets(DictAssets):
    """An upload that says when it has begun, and ends when it may."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def copy(self, *, reference: Reference, task_id: UUID, fence: int, output: Output) -> StoredAsset:
        self.begun.set()
        await self.may_end.wait()
        return await DictAssets.copy(self, reference=reference, task_id=task_id, fence=fence, output=output)


@dataclass(frozen=True, slots=True)
class SkewedRecovery:
    """A worker whose clock is wrong by so much."""

    worker: RecoveryUnderTest
    skew: timedelta

    async def resolved(self, run: UUID) -> Resolution:
        (task,) = await self.worker.claim_tasks.for_run(run, limit=1)
        policies = Policies(self.worker.policy)
        resolve = ResolveTask(
            self.worker.providers, self.worker.assets, policies, lambda: datetime.now(UTC) + self.skew, lambda: 0.5
        )
        return await resolve(task)


@pytest.fixture
async def factory(transactions: Transactions) -> Factory:
    factory = Factory(transactions)
    await factory.job()
    return factory


@pytest.fixture
def recovery(transactions: Transactions) -> RecoveryUnderTest:
    return RecoveryUnderTest(transactions)


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    """An actor whose connection can be cut at each of its statements."""
    observer = await asyncpg.connect(database_url)
    memory = await Memory.of(observer)
    actors = (Actor("worker", database_url, memory.schema), Actor("nobody", database_url, memory.schema))
    yield Stage(actors, observer)
    for actor in actors:
        await actor.close()
    await observer.close()


async def _leases_run_out(transactions: Transactions) -> None:
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET lease_expires_at = now() - interval '1 s' WHERE lease_holder IS NOT NULL")


async def _work(recovery: RecoveryUnderTest) -> None:
    sweep = recovery.sweep()
    while await sweep.run_once():
        pass


async def _expect_completed_once(transactions: Transactions) -> None:
    async with transactions.read() as reading:
        row = await reading.row(
            "SELECT status, (SELECT count(*) FROM credit_transactions WHERE kind = 'charge') AS charges,"
            " (SELECT count(*) FROM outbox WHERE type = 'task.completed') AS told,"
            " (SELECT count(*) FROM outbox WHERE type = 'run.finished') AS runs FROM tasks"
        )
    assert row is not None
    assert dict(row) == {"status": "completed", "charges": 1, "told": 1, "runs": 1}
    assert await broken_truths(transactions) == {}


async def test_a_lease_that_runs_out_in_the_middle_of_an_upload_leaves_the_winners_asset_alone(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    task = await factory.task()
    slow = RecoveryUnderTest(transactions, assets=GatedAssets())
    assert isinstance(slow.assets, GatedAssets)
    run = await slow.start_run()
    (claimed,) = await slow.claim_tasks.for_run(run, limit=1)
    uploading = asyncio.create_task(slow.resolve_task(claimed))
    await slow.assets.begun.wait()
    await _leases_run_out(transactions)
    await _work(recovery)

    slow.assets.may_end.set()
    late = await slow.settle_tasks([await uploading])

    assert len(late.lost) == 1
    async with transactions.read() as reading:
        assert await reading.value("SELECT key FROM task_assets") == f"{task}/2-0.mp4"
    assert set(slow.assets.stored) == {f"{task}/1-0.mp4"}
    await _expect_completed_once(transactions)


@pytest.mark.parametrize("uploaded", [False, True], ids=["before the upload", "after the upload"])
async def test_a_worker_that_dies_around_the_upload_is_succeeded_by_another(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest, uploaded: bool
) -> None:
    await factory.task()
    dead = RecoveryUnderTest(transactions)
    (claimed,) = await dead.claim_tasks.for_run(await dead.start_run(), limit=1)
    if uploaded:
        await dead.resolve_task(claimed)
    assert not await recovery.claim_tasks.for_run(claimed.run_id or UUID(int=0), limit=1)

    await _leases_run_out(transactions)
    await _work(recovery)

    assert len(dead.assets.stored) == uploaded
    await _expect_completed_once(transactions)


async def test_a_worker_that_dies_inside_the_transaction_of_its_settlement_is_succeeded_by_another(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest, stage: Stage
) -> None:
    """With its connection cut right before the commit, nothing of it stays."""
    await factory.task()
    actor = stage.actors[0]
    worker = RecoveryUnderTest(actor.transactions)
    (claimed,) = await recovery.claim_tasks.for_run(await recovery.start_run(), limit=1)
    done = await recovery.resolve_task(claimed)
    actor.perform(lambda: worker.settle_tasks([done]))
    await stage.begin(actor)
    while str(actor.pending) != "COMMIT":
        await stage.proceed(actor)

    await stage.cut(actor)
    actor.die()
    async with transactions.read() as reading:
        assert await reading.value("SELECT status FROM tasks") == "processing"
        assert await reading.value("SELECT count(*) FROM credit_transactions WHERE kind = 'charge'") == 0
    await _leases_run_out(transactions)
    await _work(recovery)

    await _expect_completed_once(transactions)


async def test_a_worker_that_dies_after_its_commit_leaves_only_the_end_of_the_run_to_others(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    await factory.task()
    dead = RecoveryUnderTest(transactions)
    (claimed,) = await dead.claim_tasks.for_run(await dead.start_run(), limit=1)
    await dead.settle_tasks([await dead.resolve_task(claimed)])

    await _work(recovery)

    assert recovery.providers.asked == []
    await _expect_completed_once(transactions)


async def test_a_commit_whose_answer_is_lost_is_tried_again_and_settles_once(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest, stage: Stage
) -> None:
    """The pool tries the group again: the guard finds that it is done."""
    await factory.task()
    actor = stage.actors[0]
    worker = RecoveryUnderTest(actor.transactions)
    (claimed,) = await recovery.claim_tasks.for_run(await recovery.start_run(), limit=1)
    done = await recovery.resolve_task(claimed)

    for _ in range(2):
        actor.perform(lambda: worker.settle_tasks([done]), freely=True)
        await actor.ends()
        await stage.cut(actor)
    settle = SettleInGroups(worker.settle_within_limit, worker.policy)
    await settle.settle(done)
    await _work(recovery)

    await _expect_completed_once(transactions)


async def test_a_run_whose_worker_died_before_its_first_claim_is_worked_on_by_others(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest
) -> None:
    """Nobody else heard the doorbell: the poll finds the run in the database."""
    await factory.task()
    dead = RecoveryUnderTest(transactions)
    await dead.start_run()
    await _work(recovery)
    await _expect_completed_once(transactions)


@pytest.mark.parametrize("skew", [HOUR, -HOUR], ids=["an hour ahead", "an hour behind"])
async def test_a_wrong_clock_of_a_worker_ends_no_task_early(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest, skew: timedelta
) -> None:
    """Twenty minutes old and without an id, which is failed after thirty; or running, which is given up after a day."""
    user = await factory.user()
    await factory.task(user, provider_task_id=None, age_seconds=1200)
    resolution = await SkewedRecovery(recovery, skew).resolved(await recovery.start_run())
    await recovery.settle_tasks([resolution])

    old = await factory.task(user, age_seconds=23.5 * 3600)
    recovery.providers.answers[f"p-{old.hex}"] = StillRunning(queued=False, state="processing")
    async with transactions.begin() as tx:
        await tx.execute("UPDATE cron_job_executions SET horizon_at = now()")
    (run,) = await _running(transactions)
    await recovery.settle_tasks([await SkewedRecovery(recovery, skew).resolved(run)])

    async with transactions.read() as reading:
        rows = await reading.rows("SELECT status, next_check_at - now() < interval '10 minutes' AS soon FROM tasks")
    assert [dict(row) for row in rows] == [{"status": "processing", "soon": True}] * 2


async def _running(transactions: Transactions) -> list[UUID]:
    async with transactions.read() as reading:
        return [row["id"] for row in await reading.rows("SELECT id FROM cron_job_executions WHERE status = 'running'")]


@pytest.mark.parametrize("skew", [HOUR, -HOUR], ids=["an hour ahead", "an hour behind"])
async def test_a_wrong_clock_of_a_worker_changes_no_lease(
    transactions: Transactions, factory: Factory, recovery: RecoveryUnderTest, skew: timedelta
) -> None:
    """The lease is the database's: another worker neither finds it over nor finds it endless."""
    await factory.task()
    run = await recovery.start_run()
    await SkewedRecovery(RecoveryUnderTest(transactions, lease_seconds=60), skew).resolved(run)
    assert await recovery.claim_tasks.for_run(run, limit=1) == []
    async with transactions.read() as reading:
        left = await reading.value("SELECT extract(epoch FROM lease_expires_at - clock_timestamp()) FROM tasks")
    assert 0 < left <= 60
