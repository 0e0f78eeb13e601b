"""Claims, renewals, webhooks and settlements of the same task at once."""

from __future__ import annotations

from uuid import UUID, uuid4

from backstop_common.contracts import TaskCheck
from backstop_common.messaging import Delivery
from backstop_recovery.application.renew_leases import RenewLeases
from backstop_recovery.application.request_check import RequestCheck
from backstop_recovery.domain.task import Task
from tests.support.interleaving.scenario import LEASE_SECONDS, Action, Plan, Results, Scenarios, Setting, claim_of
from tests.support.recovery import RecoveryUnderTest
from tests.support.scenarios.settlements import settle

CLAIMS = Scenarios()


def claim(run: UUID, count: int) -> Action:
    async def work(worker: RecoveryUnderTest) -> list[Task]:
        return await claim_of(worker, run, count)

    return work


def claim_and_settle(run: UUID, count: int = 1) -> Action:
    """A turn of a pool: claim, ask, copy, settle."""

    async def work(worker: RecoveryUnderTest) -> int:
        tasks = await claim_of(worker, run, count)
        if tasks:
            await worker.settle_tasks([await worker.resolve_task(task) for task in tasks])
        return len(tasks)

    return work


def renew(task: Task) -> Action:
    async def work(worker: RecoveryUnderTest) -> None:
        await RenewLeases(worker.transactions, LEASE_SECONDS)([task])

    return work


def check_one(task_id: UUID, event: UUID) -> Action:
    """A doorbell for one task, and what the pool does then."""

    async def work(worker: RecoveryUnderTest) -> int:
        request = TaskCheck(task_id=task_id, reason="webhook")
        if await RequestCheck(worker.transactions)(request, Delivery("recovery.task.check", event, None)):
            task = await worker.claim_tasks.one(task_id)
            if task is not None:
                return len((await worker.settle_tasks([await worker.resolve_task(task)])).settled)
        return 0

    return work


@CLAIMS("two workers claim the tasks of one run")
async def _(setting: Setting) -> Plan:
    user = await setting.factory.user("ada")
    for number in (1, 2, 3):
        await setting.factory.task(user, task_id=UUID(int=number))
    run = await setting.run()

    async def check(results: Results) -> None:
        ids = [task.id for claimed in results for task in claimed]
        assert len(ids) == len(set(ids))
        assert await setting.value("SELECT max(fence) FROM tasks") == 1

    return Plan(claim(run, 2), claim(run, 2), check)


@CLAIMS("two workers take over a task whose lease has run out")
async def _(setting: Setting) -> Plan:
    await setting.factory.task(await setting.factory.user("ada"))
    run = await setting.run()
    await setting.claims(run)
    await setting.lose_leases()

    async def check(results: Results) -> None:
        assert sum(len(claimed) for claimed in results) == 1

    return Plan(claim(run, 1), claim(run, 1), check)


@CLAIMS("a worker settles while another takes over its task")
async def _(setting: Setting) -> Plan:
    await setting.factory.task(await setting.factory.user("ada"))
    run = await setting.run()
    (task,) = await setting.claims(run)
    late = await setting.resolved(task)
    await setting.lose_leases()

    async def check(results: Results) -> None:
        settled, claimed = results
        assert len(settled.settled) + len(claimed) == 1

    return Plan(settle(late), claim(run, 1), check)


@CLAIMS("a worker is late with its task and another one finishes it")
async def _(setting: Setting) -> Plan:
    await setting.factory.task(await setting.factory.user("ada"))
    run = await setting.run()
    (task,) = await setting.claims(run)
    late = await setting.resolved(task)
    await setting.lose_leases()

    async def check(_: Results) -> None:
        assert await setting.value("SELECT status FROM tasks") == "completed"

    return Plan(settle(late), claim_and_settle(run), check)


@CLAIMS("two workers work through the same two tasks")
async def _(setting: Setting) -> Plan:
    user = await setting.factory.user("ada")
    for number in (1, 2):
        await setting.factory.task(user, task_id=UUID(int=number))
    run = await setting.run()
    return Plan(claim_and_settle(run, 2), claim_and_settle(run, 2))


@CLAIMS("a lease is renewed while its task is settled")
async def _(setting: Setting) -> Plan:
    await setting.factory.task(await setting.factory.user("ada"))
    (task,) = await setting.claims(await setting.run())

    async def check(_: Results) -> None:
        assert await setting.value("SELECT lease_holder IS NULL AND status = 'completed' FROM tasks")

    return Plan(renew(task), settle(await setting.resolved(task)), check)


@CLAIMS("a lease that has run out is renewed while another worker takes over")
async def _(setting: Setting) -> Plan:
    await setting.factory.task(await setting.factory.user("ada"))
    run = await setting.run()
    (task,) = await setting.claims(run)
    await setting.lose_leases()

    async def check(results: Results) -> None:
        fence = await setting.value("SELECT fence FROM tasks")
        assert fence == 1 + len(results[1])
        assert await setting.value("SELECT lease_expires_at > clock_timestamp() FROM tasks")

    return Plan(renew(task), claim(run, 1), check)


@CLAIMS("a webhook and the poll of a run come for the same task")
async def _(setting: Setting) -> Plan:
    task = await setting.factory.task(await setting.factory.user("ada"))
    run = await setting.run()

    async def check(results: Results) -> None:
        assert sum(results) == 1

    return Plan(check_one(task, uuid4()), claim_and_settle(run), check, is_repeated=True)


@CLAIMS("a webhook comes for a task that is just being settled")
async def _(setting: Setting) -> Plan:
    await setting.factory.task(await setting.factory.user("ada"))
    (task,) = await setting.claims(await setting.run())

    async def check(_: Results) -> None:
        assert await setting.value("SELECT status FROM tasks") == "completed"

    return Plan(check_one(task.id, uuid4()), settle(await setting.resolved(task)), check, is_repeated=True)


@CLAIMS("one webhook is delivered twice at once")
async def _(setting: Setting) -> Plan:
    task = await setting.factory.task(await setting.factory.user("ada"))
    event = uuid4()

    async def check(_: Results) -> None:
        asked = "SELECT count(*) FROM task_events WHERE kind = 'check_requested'"
        assert await setting.value(asked) == 1
        assert await setting.value("SELECT status FROM tasks") == "completed"

    return Plan(check_one(task, event), check_one(task, event), check, is_repeated=True)
