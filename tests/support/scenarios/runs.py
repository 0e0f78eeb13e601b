"""Runs that start and end while others work on them."""

from __future__ import annotations

from uuid import UUID

from backstop_recovery.domain.resolution import Resolution
from backstop_recovery.domain.verdict import StillRunning
from tests.support.interleaving.scenario import Action, Plan, Results, Scenarios, Setting, failed
from tests.support.recovery import RecoveryUnderTest
from tests.support.scenarios.claims import claim_and_settle
from tests.support.scenarios.settlements import settle

RUNS = Scenarios()


def end(run: UUID) -> Action:
    async def work(worker: RecoveryUnderTest) -> bool:
        return await worker.finish_run.if_done(run)

    return work


def give_up(run: UUID) -> Action:
    async def work(worker: RecoveryUnderTest) -> bool:
        return await worker.finish_run.as_failed(run, reason="the watchdog's")

    return work


def settle_and_end(run: UUID, *group: Resolution) -> Action:
    async def work(worker: RecoveryUnderTest) -> bool:
        await worker.settle_tasks(group)
        return await worker.finish_run.if_done(run)

    return work


def start(slot: str) -> Action:
    async def work(worker: RecoveryUnderTest) -> UUID:
        return await worker.start_run(slot)

    return work


async def _two_claims(setting: Setting) -> tuple[UUID, Resolution, Resolution]:
    """The two last tasks of a run, of two users; the second failed."""
    for number, user in enumerate(("ada", "bob")):
        await setting.factory.task(await setting.factory.user(user), task_id=UUID(int=number + 1))
    run = await setting.run()
    one, two = await setting.claims(run, 2)
    return run, await setting.resolved(one), await setting.resolved(two, failed(two))


@RUNS("the two last tasks of a run finish together")
async def _(setting: Setting) -> Plan:
    run, one, two = await _two_claims(setting)

    async def check(results: Results) -> None:
        assert sorted(results) == [False, True]
        assert await setting.value("SELECT status FROM cron_job_executions") == "completed"

    return Plan(settle_and_end(run, one), settle_and_end(run, two), check)


@RUNS("a run is asked whether it is done while its last task is settled")
async def _(setting: Setting) -> Plan:
    await setting.factory.task(await setting.factory.user("ada"))
    run = await setting.run()
    (task,) = await setting.claims(run)
    done = await setting.resolved(task)

    async def check(results: Results) -> None:
        assert await setting.value("SELECT CAST(results ->> 'totalFound' AS int) FROM cron_job_executions") == 1

    return Plan(end(run), settle(done), check)


@RUNS("a run is asked whether it is done while its last task turns out to be still running")
async def _(setting: Setting) -> Plan:
    await setting.factory.task(await setting.factory.user("ada"))
    run = await setting.run()
    (task,) = await setting.claims(run)
    still = await setting.resolved(task, StillRunning(queued=False, state="processing"))

    async def check(results: Results) -> None:
        assert await setting.value("SELECT CAST(results ->> 'stillProcessing' AS int) FROM cron_job_executions") == 1

    return Plan(end(run), settle_and_end(run, still), check)


@RUNS("two workers find a run done")
async def _(setting: Setting) -> Plan:
    run = await setting.run()

    async def check(results: Results) -> None:
        assert sorted(results) == [False, True]

    return Plan(end(run), end(run), check)


@RUNS("a run is ended while another worker claims and settles its last task")
async def _(setting: Setting) -> Plan:
    await setting.factory.task(await setting.factory.user("ada"))
    run = await setting.run()
    return Plan(end(run), claim_and_settle(run))


@RUNS("the watchdog gives a run up while its last task is settled")
async def _(setting: Setting) -> Plan:
    await setting.factory.task(await setting.factory.user("ada"))
    run = await setting.run()
    (task,) = await setting.claims(run)

    async def check(results: Results) -> None:
        assert await setting.value("SELECT status FROM tasks") == "completed"
        assert sorted(results) == [False, True]

    return Plan(give_up(run), settle_and_end(run, await setting.resolved(task)), check)


@RUNS("the watchdog gives a run up that a worker finds done")
async def _(setting: Setting) -> Plan:
    run = await setting.run()

    async def check(results: Results) -> None:
        assert sorted(results) == [False, True]

    return Plan(give_up(run), end(run), check)


@RUNS("two watchdogs give a run up")
async def _(setting: Setting) -> Plan:
    run = await setting.run()

    async def check(results: Results) -> None:
        assert sorted(results) == [False, True]

    return Plan(give_up(run), give_up(run), check)


@RUNS("one tick is delivered to two replicas")
async def _(setting: Setting) -> Plan:

    async def check(_: Results) -> None:
        assert await setting.value("SELECT count(*) FROM cron_job_executions") == 1

    return Plan(start("same"), start("same"), check, is_repeated=True)


@RUNS("two ticks of one job come at once")
async def _(setting: Setting) -> Plan:

    async def check(_: Results) -> None:
        words = "SELECT string_agg(status, ' ' ORDER BY status) FROM cron_job_executions"
        assert await setting.value(words) == "running skipped"

    return Plan(start("one"), start("two"), check, is_repeated=True)


@RUNS("a tick comes while the run before it ends")
async def _(setting: Setting) -> Plan:
    run = await setting.run("before")

    async def check(_: Results) -> None:
        words = "SELECT string_agg(status, ' ' ORDER BY status) FROM cron_job_executions"
        assert await setting.value(words) in {"completed running", "completed skipped"}

    return Plan(end(run), start("after"), check, is_repeated=True)
