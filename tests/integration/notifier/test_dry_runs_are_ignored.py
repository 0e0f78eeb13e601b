"""A dry run proves nothing to the alerts: it opens no incident and resolves none."""

from __future__ import annotations

from backstop_common.contracts import RunFinished
from tests.support.notifier import NotifierUnderTest, finished


def _dry(run: RunFinished) -> RunFinished:
    return run.model_copy(update={"dry_run": True})


async def test_a_dry_run_that_failed_or_met_a_provider_that_is_down_opens_no_incident(
    notifier: NotifierUnderTest,
) -> None:
    await notifier.tell(_dry(finished("failed", started=0, ended=1)))
    degraded = finished("completed", started=2, ended=3).model_copy(update={"degraded_providers": ("fal",)})
    await notifier.tell(_dry(degraded))
    assert await notifier.incidents() == []


async def test_a_dry_run_that_completed_resolves_no_incident(notifier: NotifierUnderTest) -> None:
    await notifier.tell(finished("failed", started=0, ended=1))
    await notifier.tell(_dry(finished("completed", started=10, ended=11)))
    assert [row["state"] for row in await notifier.incidents()] == ["open"]


async def test_a_dry_run_does_not_count_as_the_later_success_of_a_failure_that_is_told_late(
    notifier: NotifierUnderTest,
) -> None:
    dry = await notifier.factory.run(status="completed", started_seconds_ago=0)
    async with notifier.transactions.begin() as tx:
        await tx.execute("UPDATE cron_job_executions SET dry_run = true WHERE id = :id", id=dry)
    await notifier.tell(finished("failed", started=-60 * 24 * 365, ended=-60 * 24 * 365 + 1))
    assert [row["state"] for row in await notifier.incidents()] == ["open"]
