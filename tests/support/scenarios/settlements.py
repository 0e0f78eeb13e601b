"""Two settlements at once: of one claim, of two claims of one task, of tasks that share a user."""

from __future__ import annotations

from uuid import UUID

from backstop_recovery.application.settle_tasks import Settled
from backstop_recovery.domain.decision import Policy
from backstop_recovery.domain.resolution import Resolution
from backstop_recovery.domain.verdict import StillRunning, Succeeded
from tests.support.interleaving.scenario import Action, Plan, Results, Scenarios, Setting, failed
from tests.support.recovery import RecoveryUnderTest

SETTLEMENTS = Scenarios()


def settle(*group: Resolution) -> Action:
    async def work(worker: RecoveryUnderTest) -> Settled:
        return await worker.settle_tasks(group)

    return work


def settle_in_groups(resolution: Resolution) -> Action:
    """As the pool does it: a refusal becomes an error of ours."""

    async def work(worker: RecoveryUnderTest) -> None:
        await worker.sweep().settle.settle(resolution)

    return work


async def stale_and_fresh(
    setting: Setting, *, billing: str = "hold", stale: bool = True, fresh: bool = True
) -> tuple[Resolution, Resolution]:
    """Two claims of one task: the lease of the first one ran out before it settled. True is success."""
    await setting.factory.task(await setting.factory.user("ada"), billing=billing)
    run = await setting.run()
    resolutions = []
    for succeeds in (stale, fresh):
        await setting.lose_leases()
        (task,) = await setting.claims(run)
        resolutions.append(await setting.resolved(task, None if succeeds else failed(task)))
    return resolutions[0], resolutions[1]


async def _two_of_ada(
    setting: Setting, *, billing: str = "hold", failing: bool = False
) -> tuple[Resolution, Resolution]:
    """The first is held and succeeds; the second is billed so, and fails or not."""
    user = await setting.factory.user("ada")
    for number, of_second in enumerate(("hold", billing)):
        await setting.factory.task(user, task_id=UUID(int=number + 1), billing=of_second)
    one, two = await setting.claims(await setting.run(), 2)
    return await setting.resolved(one), await setting.resolved(two, failed(two) if failing else None)


@SETTLEMENTS("one claim is settled twice, because the answer of a commit was lost")
async def _(setting: Setting) -> Plan:
    await setting.factory.task(await setting.factory.user("ada"), credits=30)
    (task,) = await setting.claims(await setting.run())
    done = await setting.resolved(task)

    async def check(results: Results) -> None:
        assert sorted(len(settled.settled) for settled in results) == [0, 1]
        assert await setting.value("SELECT balance FROM credit_accounts") == 70

    return Plan(settle(done), settle(done), check)


@SETTLEMENTS("a stale and a fresh claim of one task are settled, both successes")
async def _(setting: Setting) -> Plan:
    stale, fresh = await stale_and_fresh(setting)

    async def check(results: Results) -> None:
        assert [len(settled.settled) for settled in results] == [0, 1]

    return Plan(settle(stale), settle(fresh), check)


@SETTLEMENTS("a stale failure meets the fresh success of the same task")
async def _(setting: Setting) -> Plan:
    stale, fresh = await stale_and_fresh(setting, stale=False)

    async def check(_: Results) -> None:
        assert await setting.value("SELECT status FROM tasks") == "completed"

    return Plan(settle(stale), settle(fresh), check)


@SETTLEMENTS("a stale success meets the fresh failure of the same task")
async def _(setting: Setting) -> Plan:
    stale, fresh = await stale_and_fresh(setting, fresh=False)

    async def check(_: Results) -> None:
        assert await setting.value("SELECT status FROM tasks") == "failed"

    return Plan(settle(stale), settle(fresh), check)


@SETTLEMENTS("the refund of a prepaid task races its completion")
async def _(setting: Setting) -> Plan:
    stale, fresh = await stale_and_fresh(setting, billing="prepaid", stale=False)

    async def check(_: Results) -> None:
        assert await setting.value("SELECT balance FROM credit_accounts") == 100

    return Plan(settle(stale), settle(fresh), check)


@SETTLEMENTS("a group with both claims of a task meets the fresh one alone")
async def _(setting: Setting) -> Plan:
    stale, fresh = await stale_and_fresh(setting, stale=False)
    return Plan(settle(stale, fresh), settle(fresh))


@SETTLEMENTS("two tasks of one user settle at once, one charged and one released")
async def _(setting: Setting) -> Plan:
    charged, released = await _two_of_ada(setting, failing=True)

    async def check(_: Results) -> None:
        assert await setting.value("SELECT (balance, frozen_balance) FROM credit_accounts") == (90, 0)

    return Plan(settle(charged), settle(released), check)


@SETTLEMENTS("a held and an unheld task of one user are charged at once")
async def _(setting: Setting) -> Plan:
    held, unheld = await _two_of_ada(setting, billing="on_success")

    async def check(_: Results) -> None:
        assert await setting.value("SELECT (balance, frozen_balance) FROM credit_accounts") == (80, 0)

    return Plan(settle(held), settle(unheld), check)


@SETTLEMENTS("two groups name the tasks of two users in opposite orders")
async def _(setting: Setting) -> Plan:
    for user in ("ada", "bob"):
        await setting.factory.user(user)
    for number, user in enumerate(("ada", "bob", "bob", "ada")):
        await setting.factory.task(user, task_id=UUID(int=number + 1))
    one, two, three, four = [
        await setting.resolved(task, failed(task) if task.id.int in {2, 3} else None)
        for task in await setting.claims(await setting.run(), 4)
    ]
    return Plan(settle(one, two), settle(three, four))


@SETTLEMENTS("two groups share a task that both have claimed once")
async def _(setting: Setting) -> Plan:
    user = await setting.factory.user("ada")
    for number in (1, 2, 3):
        await setting.factory.task(user, task_id=UUID(int=number))
    run = await setting.run()
    old = {task.id.int: task for task in await setting.claims(run, 3)}
    await setting.lose_leases()
    new = {task.id.int: task for task in await setting.claims(run, 3)}
    first = [await setting.resolved(new[1]), await setting.resolved(old[2], failed(old[2]))]
    second = [await setting.resolved(new[2]), await setting.resolved(new[3])]
    return Plan(settle(*first), settle(*reversed(second)))


@SETTLEMENTS("the credits are enough for one of two tasks that are charged at once")
async def _(setting: Setting) -> Plan:
    user = await setting.factory.user("ada", balance=15)
    for number in (1, 2):
        await setting.factory.task(user, task_id=UUID(int=number), billing="on_success")
    one, two = [await setting.resolved(task) for task in await setting.claims(await setting.run(), 2)]

    async def check(_: Results) -> None:
        assert await setting.value("SELECT balance FROM credit_accounts") == 5
        refused = "SELECT count(*) FROM tasks WHERE status = 'processing' AND failure_code = 'settlement_refused'"
        assert await setting.value(refused) == 1

    return Plan(settle_in_groups(one), settle_in_groups(two), check)


@SETTLEMENTS("the last failure of ours meets a success of a newer claim")
async def _(setting: Setting) -> Plan:
    await setting.factory.task(await setting.factory.user("ada"))
    run = await setting.run()
    (old,) = await setting.claims(run)
    broken = RecoveryUnderTest(setting.transactions, policy=Policy(own_failures_until_attention=1))
    broken.providers.answers[str(old.provider_task_id)] = Succeeded(())
    attention = await broken.resolve_task(old)
    await setting.lose_leases()
    (new,) = await setting.claims(run)

    async def check(_: Results) -> None:
        assert await setting.value("SELECT status FROM tasks") == "completed"

    return Plan(settle(attention), settle(await setting.resolved(new)), check)


@SETTLEMENTS("a task that is still running is settled twice by one claim")
async def _(setting: Setting) -> Plan:
    await setting.factory.task(await setting.factory.user("ada"))
    (task,) = await setting.claims(await setting.run())
    open_still = await setting.resolved(task, StillRunning(queued=False, state="processing"))

    async def check(_: Results) -> None:
        assert await setting.value("SELECT check_count FROM tasks") == 1

    return Plan(settle(open_still), settle(open_still), check)
