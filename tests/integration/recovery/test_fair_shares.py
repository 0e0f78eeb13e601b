"""A provider that is slow, limited, throttled or down keeps nobody else waiting, and the run still does all it can."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID

from backstop_common.database import Transactions
from backstop_common.loop import Loop
from backstop_recovery.adapters.guarded_providers import GuardedProviders
from backstop_recovery.adapters.modest_providers import ModestProviders
from backstop_recovery.application.ports import Reference
from backstop_recovery.application.resolve_task import ResolveTask
from backstop_recovery.application.sweep import Sweep
from backstop_recovery.domain.pace import Limit, Pace
from backstop_recovery.domain.places import Places
from backstop_recovery.domain.provider_health import HealthPolicy
from backstop_recovery.domain.verdict import StillRunning, Unknown, UnknownReason, Verdict
from tests.support.backlogs import add_backlog
from tests.support.factories import Factory
from tests.support.polling import eventually
from tests.support.recovery import RecoveryUnderTest

RUNNING = StillRunning(queued=False, state="processing")
ANSWERS: dict[str, Verdict] = {
    "throttled": Unknown(UnknownReason.RATE_LIMITED, "429", retry_after_seconds=30),
    "down": Unknown(UnknownReason.UNREACHABLE, "refused"),
}


@dataclass(slots=True)
class Outside:
    """Everything is still running; `slow` answers when its gate opens, `throttled` and `down` as their names say."""

    asked: Counter[str] = field(default_factory=Counter)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def check(self, reference: Reference) -> Verdict:
        self.asked[reference.provider] += 1
        if reference.provider == "slow":
            await self.gate.wait()
        return ANSWERS.get(reference.provider, RUNNING)


@dataclass(slots=True)
class Recovery:
    """A worker with 16 places, of which one provider may have 12."""

    transactions: Transactions
    outside: Outside = field(default_factory=Outside)
    limits: dict[str, Limit] = field(default_factory=dict)

    @asynccontextmanager
    async def at_work(self, requested: Iterable[UUID] = ()) -> AsyncIterator[Sweep]:
        """A run goes on as in production: again at once while there is work, and after a moment otherwise."""
        worker = RecoveryUnderTest(self.transactions)
        guarded = GuardedProviders(self.outside, 12, HealthPolicy(), time.monotonic, self.limits)
        sweep = worker.sweep()
        sweep.places = Places(guarded.room)
        sweep.resolve_task = ResolveTask(
            guarded, worker.assets, worker.resolve_task.policies, lambda: datetime.now(UTC), lambda: 0.5
        )
        for task_id in requested:
            sweep.request(task_id)
        await worker.start_run()
        loop = Loop("sweep", sweep.run_once, interval_seconds=0.05)
        turning = asyncio.create_task(loop.run())
        try:
            yield sweep
        finally:
            self.outside.gate.set()
            loop.stop()
            await turning
            await sweep.drain()

    @asynccontextmanager
    async def looking_for_late(self, sweep: Sweep) -> AsyncIterator[None]:
        """Beside the run, by the same knowledge of the providers, as `main` has it."""
        guarded = sweep.resolve_task.providers
        assert isinstance(guarded, GuardedProviders)
        late = replace(RecoveryUnderTest(self.transactions).check_late(), providers=ModestProviders(guarded))
        loop = Loop("late", late.run_once, interval_seconds=0.05)
        turning = asyncio.create_task(loop.run())
        try:
            yield
        finally:
            loop.stop()
            await turning

    async def checked(self) -> dict[str, int]:
        """By provider, the tasks that have been checked and settled."""
        async with self.transactions.read() as reading:
            rows = await reading.rows(
                "SELECT provider, count(*) AS count FROM tasks WHERE check_count > 0 GROUP BY provider"
            )
        return {row["provider"]: row["count"] for row in rows}

    async def until_checked(self, **counts: int) -> None:
        async def probe() -> bool:
            return counts.items() <= (await self.checked()).items()

        _: bool = await eventually(probe, within=20, what=f"{counts} checked")

    async def until_completed(self) -> None:
        async def probe() -> bool:
            return await self.status() == "completed"

        _: bool = await eventually(probe, within=20)

    async def status(self) -> str:
        async with self.transactions.read() as reading:
            return str(await reading.value("SELECT status FROM cron_job_executions"))


async def _recovery(transactions: Transactions, **backlog: int) -> Recovery:
    await Factory(transactions).job()
    await add_backlog(transactions, **backlog)
    return Recovery(transactions)


async def test_a_huge_backlog_of_a_slow_provider_keeps_nobody_else_waiting(transactions: Transactions) -> None:
    recovery = await _recovery(transactions, slow=1000, quick=200, brisk=50)
    async with recovery.at_work() as sweep:
        await recovery.until_checked(quick=200, brisk=50)
        await eventually(lambda: sweep.places.held["slow"] == 12)
        assert recovery.outside.asked["slow"] <= 12
        assert await recovery.status() == "running"
        recovery.outside.gate.set()
        await recovery.until_checked(slow=1000)
        await recovery.until_completed()


async def test_waiting_for_the_turn_of_a_limited_provider_does_not_fill_the_pool(transactions: Transactions) -> None:
    recovery = await _recovery(transactions, limited=1000, quick=200)
    recovery.limits["limited"] = Limit(12, Pace(5, 0.001))
    async with recovery.at_work() as sweep:
        await recovery.until_checked(limited=5, quick=200)
        assert sweep.places.held["limited"] == 1


async def test_a_provider_that_asks_for_a_moment_keeps_its_tasks_and_nobody_else_waits(
    transactions: Transactions,
) -> None:
    recovery = await _recovery(transactions, throttled=1000, quick=200)
    async with recovery.at_work() as sweep:
        await recovery.until_checked(quick=200)
        await eventually(lambda: sweep.places.held["throttled"] == 0)
        assert (await recovery.checked())["throttled"] <= 16
        assert await recovery.status() == "running"


async def test_a_provider_that_is_down_takes_what_others_leave_and_the_run_ends(transactions: Transactions) -> None:
    recovery = await _recovery(transactions, down=500, quick=200)
    async with recovery.at_work():
        await recovery.until_completed()
    assert await recovery.checked() == {"down": 500, "quick": 200}
    assert recovery.outside.asked["down"] < 20


async def test_checks_asked_for_of_a_limited_provider_do_not_fill_the_pool(transactions: Transactions) -> None:
    recovery = await _recovery(transactions, limited=100, quick=200)
    recovery.limits["limited"] = Limit(12, Pace(5, 0.001))
    async with transactions.read() as reading:
        rows = await reading.rows("SELECT id FROM tasks WHERE provider = 'limited'")
    async with recovery.at_work([row["id"] for row in rows]) as sweep:
        await recovery.until_checked(limited=5, quick=200)
        assert sweep.places.held["limited"] <= 2


async def test_late_looks_at_a_limited_provider_leave_the_pool_its_turns_and_others_their_places(
    transactions: Transactions,
) -> None:
    recovery = await _recovery(transactions, limited=45, quick=20)
    recovery.limits["limited"] = Limit(12, Pace(1, 5.0))
    async with transactions.begin() as tx:
        await tx.execute(
            "UPDATE tasks SET status = 'timed_out', finished_at = now() - interval '20 minutes',"
            " next_check_at = CASE provider WHEN 'quick' THEN now() ELSE next_check_at END"
            " WHERE provider = 'quick' OR provider_task_id NOT IN ('limited0', 'limited1', 'limited2')"
        )
    async with recovery.at_work() as sweep, recovery.looking_for_late(sweep):
        await recovery.until_checked(quick=20)
        await recovery.until_completed()
        assert recovery.outside.asked["limited"] < 30
