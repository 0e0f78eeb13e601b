"""A provider that is down for a whole run: no task fails, the run says so, and the next goes on as if nothing was."""

from __future__ import annotations

import time
from dataclasses import dataclass

from backstop_common.database import Transactions
from backstop_recovery.adapters.guarded_providers import GuardedProviders
from backstop_recovery.application.resolve_task import ResolveTask
from backstop_recovery.domain.provider_health import HealthPolicy
from backstop_recovery.domain.verdict import Unknown, UnknownReason
from tests.support.factories import Factory
from tests.support.recovery import RecoveryUnderTest, ScriptedProviders, broken_truths


@dataclass(slots=True)
class GuardedRecovery(RecoveryUnderTest):
    """A worker whose providers are asked with restraint."""

    guarded: GuardedProviders | None = None

    @property
    def resolve_task(self) -> ResolveTask:
        plain = RecoveryUnderTest.resolve_task.fget(self)  # type: ignore[attr-defined]
        self.guarded = self.guarded or GuardedProviders(self.providers, 8, HealthPolicy(), time.monotonic)
        return ResolveTask(self.guarded, plain.assets, plain.policies, plain.now, plain.jitter)


async def test_an_outage_fails_no_task_and_degrades_the_run(transactions: Transactions) -> None:
    factory = Factory(transactions)
    await factory.job()
    user = await factory.user(balance=10_000)
    down = [await factory.task(user, provider="fal") for _ in range(60)]
    for _ in range(10):
        await factory.task(user, provider="kie")
    answers = {f"p-{task.hex}": Unknown(UnknownReason.UNREACHABLE, "refused") for task in down}
    recovery = GuardedRecovery(transactions, providers=ScriptedProviders(dict(answers)))

    run = await recovery.run()

    async with transactions.read() as reading:
        row = await reading.row(
            "SELECT status, results, degraded_providers FROM cron_job_executions WHERE id = :id", id=run
        )
        statuses = await reading.rows(
            "SELECT provider, status, count(*) AS tasks FROM tasks GROUP BY 1, 2 ORDER BY 1, 2"
        )
        attention = await reading.value("SELECT max(error_count) FROM tasks")
    assert row == {
        "status": "completed",
        "results": {"completed": 10, "failed": 0, "stillProcessing": 0, "errors": 60, "totalFound": 70},
        "degraded_providers": ["fal"],
    }
    assert [tuple(line.values()) for line in statuses] == [("fal", "processing", 60), ("kie", "completed", 10)]
    assert attention == 0
    assert len([asked for asked in recovery.providers.asked if asked in answers]) < 20
    assert await broken_truths(transactions) == {}


async def test_a_run_in_good_health_is_not_degraded(transactions: Transactions) -> None:
    factory = Factory(transactions)
    await factory.job()
    await factory.task()
    run = await GuardedRecovery(transactions).run()
    async with transactions.read() as reading:
        assert await reading.value("SELECT degraded_providers FROM cron_job_executions WHERE id = :id", id=run) == []
