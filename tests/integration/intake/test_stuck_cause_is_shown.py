"""Why a task was stuck is shown with the task, with the tasks of the run that found it, and on the run's page."""

from __future__ import annotations

import httpx
import pytest

from backstop_common.database import Transactions
from backstop_recovery.domain.decision import Policy
from backstop_recovery.domain.late import LatePolicy, LateSuccess
from backstop_recovery.domain.verdict import StillRunning, Verdict
from tests.support.admin_api import ADMIN_TOKEN, AS_ADMIN
from tests.support.factories import Factory
from tests.support.intake import App
from tests.support.recovery import RecoveryUnderTest, one_output


@pytest.mark.parametrize(
    ("answer", "cause"),
    [(one_output(), "webhook_lost"), (StillRunning(queued=False, state="processing"), "provider_slow")],
)
async def test_the_cause_is_shown_wherever_the_task_is(
    app: App, client: httpx.AsyncClient, transactions: Transactions, answer: Verdict, cause: str
) -> None:
    factory = Factory(transactions)
    await factory.job()
    task, recovery = await factory.task(), RecoveryUnderTest(transactions)
    assert (await app.read(task)).json()["stuckCause"] is None
    recovery.providers.answers[f"p-{task.hex}"] = answer
    run = await recovery.run()

    assert (await app.read(task)).json()["stuckCause"] == cause
    of_run = await client.get(f"/api/admin/cron-jobs/{run}/tasks", headers=AS_ADMIN)
    assert [line["stuckCause"] for line in of_run.json()["tasks"]] == [cause]
    await client.post("/admin/login", data={"token": ADMIN_TOKEN})
    page = await client.get(f"/admin/cron-jobs/{run}")
    assert f"Stuck: {cause.replace('_', ' ')}." in page.text


async def test_a_kept_late_success_shows_its_files_and_the_release(app: App, transactions: Transactions) -> None:
    factory = Factory(transactions)
    await factory.job()
    task = await factory.task(age_seconds=200_000)
    recovery = RecoveryUnderTest(transactions, policy=Policy(late=LatePolicy(LateSuccess.KEEP)))
    recovery.providers.answers[f"p-{task.hex}"] = StillRunning(queued=False, state="processing")
    await recovery.run()
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET next_check_at = clock_timestamp()")
    recovery.providers.answers.clear()
    late = recovery.check_late()
    while await late.run_once():
        pass

    told = (await app.read(task)).json()
    assert (told["status"], told["settlement"]["kind"]) == ("timed_out", "release")
    assert [asset["key"] for asset in told["assets"]] == [f"{task}/2-0.mp4"]
    assert told["timeline"][-1]["kind"] == "late_success"
