"""A provider that is down is one incident until it answers again."""

from __future__ import annotations

from uuid import UUID

from backstop_common.contracts import RunFinished
from tests.support.factories import JOB
from tests.support.notifier import NotifierUnderTest, finished


def _degraded(*providers: str, started: int) -> RunFinished:
    run = finished("completed", started=started, ended=started + 1)
    return run.model_copy(update={"degraded_providers": providers})


async def _run_in_which_a_provider_answered(notifier: NotifierUnderTest, provider: str, *, started: int) -> RunFinished:
    task = await notifier.factory.task(provider=provider)
    run = finished("completed", started=started, ended=started + 1)
    await _checked(notifier, task, run.run_id, "processing")
    return run


async def _checked(notifier: NotifierUnderTest, task: UUID, run: UUID, verdict: str) -> None:
    async with notifier.transactions.begin() as tx:
        await tx.execute(
            "INSERT INTO task_events (task_id, run_id, kind, verdict) VALUES (:task, :run, 'checked', :verdict)",
            task=task,
            run=run,
            verdict=verdict,
        )


async def _states(notifier: NotifierUnderTest) -> list[tuple[str, str | None, str]]:
    return [(row["rule"], row["provider"], row["state"]) for row in await notifier.incidents()]


async def test_three_degraded_runs_open_one_incident_per_provider(notifier: NotifierUnderTest) -> None:
    for started in (0, 10, 20):
        await notifier.tell(_degraded("fal", "kie", started=started))
    assert sorted(await _states(notifier)) == [("provider_down", "fal", "open"), ("provider_down", "kie", "open")]


async def test_a_run_in_which_the_provider_answered_resolves_it(notifier: NotifierUnderTest) -> None:
    await notifier.tell(_degraded("fal", "kie", started=0))
    await notifier.tell(await _run_in_which_a_provider_answered(notifier, "fal", started=10))
    assert sorted(await _states(notifier)) == [("provider_down", "fal", "resolved"), ("provider_down", "kie", "open")]


async def test_a_run_that_asked_the_provider_nothing_proves_nothing(notifier: NotifierUnderTest) -> None:
    await notifier.tell(_degraded("fal", started=0))
    await notifier.tell(finished("completed", started=10, ended=11))
    task = await notifier.factory.task(provider="fal")
    unknown = finished("completed", started=20, ended=21)
    await _checked(notifier, task, unknown.run_id, "unknown")
    await notifier.tell(unknown)
    assert await _states(notifier) == [("provider_down", "fal", "open")]


async def test_operators_are_told_which_provider_and_that_nothing_has_failed(notifier: NotifierUnderTest) -> None:
    await notifier.tell(_degraded("fal", started=0))
    await notifier.send("slack")
    (message,) = notifier.sandbox.chats.messages
    text = message.body["text"]
    assert text.startswith(f"🔴 Cron Job Alert: {JOB}")
    assert "Status: PROVIDER_DOWN" in text
    assert "Provider: fal" in text
    assert "none of them has failed" in text
