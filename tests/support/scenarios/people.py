"""People decide while recovery works: actions on one task, holds on failures, and looks at what was given up."""

from __future__ import annotations

from typing import Literal
from uuid import UUID, uuid4

from backstop_common.contracts import ActOnTask, LiftHold
from backstop_common.errors import TransientError
from backstop_common.ids import hold_id
from backstop_common.messaging import Delivery
from backstop_recovery.application.carry_out_action import CarryOutAction
from backstop_recovery.application.lift_hold import LiftFailureHold
from backstop_recovery.domain.blast_radius import BlastRadius
from backstop_recovery.domain.resolution import Resolution
from backstop_recovery.domain.task import Task
from tests.support.interleaving.scenario import Action, Plan, Results, Scenarios, Setting, failed
from tests.support.recovery import RecoveryUnderTest
from tests.support.scenarios.claims import claim_and_settle
from tests.support.scenarios.settlements import settle

PEOPLE = Scenarios()

ONE_MAY_FAIL = BlastRadius(percent=0, min_failed=2)


def act(task: UUID, action: Literal["recover", "fail", "ignore"]) -> Action:
    event = uuid4()

    async def work(worker: RecoveryUnderTest) -> bool:
        carry_out = CarryOutAction(worker.transactions, worker.claim_tasks, worker.settle_tasks)
        request = ActOnTask(task_id=task, action=action, actor="ops")
        return await carry_out(request, Delivery("recovery.task.act", event, None))

    return work


def lift(hold: UUID, decision: Literal["approve", "recheck"]) -> Action:
    event = uuid4()

    async def work(worker: RecoveryUnderTest) -> bool:
        request = LiftHold(hold_id=hold, decision=decision, actor="ops", note="looked at it")
        return await LiftFailureHold(worker.transactions)(request, Delivery("recovery.hold.lift", event, None))

    return work


def settle_within_limit(*group: Resolution) -> Action:
    async def work(worker: RecoveryUnderTest) -> None:
        worker.limit = ONE_MAY_FAIL
        await worker.settle_within_limit(group)

    return work


async def _claimed(setting: Setting) -> tuple[UUID, Task]:
    await setting.factory.task(await setting.factory.user("ada"))
    run = await setting.run()
    (task,) = await setting.claims(run)
    return run, task


@PEOPLE("somebody fails a task by hand while its success is settled")
async def _(setting: Setting) -> Plan:
    _, task = await _claimed(setting)

    async def check(results: Results) -> None:
        expected = {"processing"} if isinstance(results[0], TransientError) else {"completed", "failed"}
        assert await setting.value("SELECT status FROM tasks") in expected

    done = await setting.resolved(task)
    # Locked by the settlement that lost, the task cannot be claimed in that moment: the message comes again.
    return Plan(act(task.id, "fail"), settle(done), check, refusals=(TransientError,), is_repeated=True)


@PEOPLE("somebody fails a task by hand while a run comes for it")
async def _(setting: Setting) -> Plan:
    task = await setting.factory.task(await setting.factory.user("ada"))
    run = await setting.run()
    return Plan(act(task, "fail"), claim_and_settle(run), refusals=(TransientError,), is_repeated=True)


@PEOPLE("somebody ignores a task while its failure is settled")
async def _(setting: Setting) -> Plan:
    _, task = await _claimed(setting)
    return Plan(act(task.id, "ignore"), settle(await setting.resolved(task, failed(task))), is_repeated=True)


@PEOPLE("somebody has a task recovered while it is settled")
async def _(setting: Setting) -> Plan:
    _, task = await _claimed(setting)

    async def check(_: Results) -> None:
        assert await setting.value("SELECT status FROM tasks") == "completed"

    return Plan(act(task.id, "recover"), settle(await setting.resolved(task)), check, is_repeated=True)


@PEOPLE("two people fail the same task by hand")
async def _(setting: Setting) -> Plan:
    task = await setting.factory.task(await setting.factory.user("ada"))
    plan = Plan(act(task, "fail"), act(task, "fail"), refusals=(TransientError,), is_repeated=True)
    await setting.run()
    return plan


async def _two_failures(setting: Setting) -> tuple[UUID, Resolution, Resolution]:
    for number, user in enumerate(("ada", "bob")):
        await setting.factory.task(await setting.factory.user(user), task_id=UUID(int=number + 1))
    run = await setting.run()
    one, two = await setting.claims(run, 2)
    return run, await setting.resolved(one, failed(one)), await setting.resolved(two, failed(two))


@PEOPLE("two workers each settle the failure that is one too many with the other's")
async def _(setting: Setting) -> Plan:
    _, one, two = await _two_failures(setting)

    async def check(_: Results) -> None:
        assert await setting.value("SELECT count(*) FROM tasks WHERE status = 'failed'") == 1
        assert await setting.value("SELECT count(*) FROM failure_holds") == 1
        assert await setting.value("SELECT status FROM cron_job_executions") == "failed"

    return Plan(settle_within_limit(one), settle_within_limit(two), check, refusals=(TransientError,))


@PEOPLE("a run is stopped for its failures while its success is settled")
async def _(setting: Setting) -> Plan:
    for number, user in enumerate(("ada", "bob", "bob")):
        if number < 2:
            await setting.factory.user(user)
        await setting.factory.task(user, task_id=UUID(int=number + 1))
    one, two, three = await setting.claims(await setting.run(), 3)
    failures = [await setting.resolved(task, failed(task)) for task in (one, two)]

    async def check(_: Results) -> None:
        statuses = "SELECT string_agg(status, ' ' ORDER BY id) FROM tasks"
        assert await setting.value(statuses) == "processing processing completed"

    return Plan(settle_within_limit(*failures), settle_within_limit(await setting.resolved(three)), check)


@PEOPLE("a hold is lifted while a failure is withheld because of it")
async def _(setting: Setting) -> Plan:
    run, one, two = await _two_failures(setting)
    await settle_within_limit(one)(setting.worker())
    await settle_within_limit(two)(setting.worker())
    await setting.execute("UPDATE tasks SET next_check_at = now() - interval '1 hour' WHERE status = 'processing'")
    (again,) = await setting.claims(await setting.run("second"))

    async def check(_: Results) -> None:
        assert await setting.value("SELECT status IN ('processing', 'failed') FROM tasks WHERE id = :id", id=again.id)

    return Plan(
        lift(hold_id(run), "approve"),
        settle_within_limit(await setting.resolved(again, failed(again))),
        check,
        is_repeated=True,
    )


@PEOPLE("two workers look at the same task that was given up")
async def _(setting: Setting) -> Plan:
    await setting.factory.task(await setting.factory.user("ada"), billing="none")
    given_up = "UPDATE tasks SET status = 'timed_out', finished_at = now(), next_check_at = now() - interval '1 s'"
    await setting.execute(given_up)
    told = "INSERT INTO outbox (event_id, type, body) SELECT id, 'task.failed', {} FROM tasks"
    await setting.execute(told.format("json_build_object('task_id', id)"))

    async def look(worker: RecoveryUnderTest) -> None:
        await worker.check_late().run_once()

    async def check(_: Results) -> None:
        assert await setting.value("SELECT count(*) FROM task_events WHERE kind = 'late_success'") == 1

    return Plan(look, look, check)
