"""An app registers tasks and gives credits while recovery settles tasks of the same user."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from backstop_admin_api.application.grant_credits import GrantCredits
from backstop_admin_api.application.intake_outcomes import AlreadyKnown, NotEnoughCredits, Registered
from backstop_admin_api.application.records import GrantRecord, TaskRecord
from backstop_admin_api.application.register_task import RegisterTask
from backstop_common.providers.catalogue import load_catalogue
from backstop_recovery.domain.resolution import Resolution
from tests.support.intake import task_body
from tests.support.interleaving.scenario import Action, Plan, Results, Scenarios, Setting, failed
from tests.support.recovery import RecoveryUnderTest
from tests.support.scenarios.settlements import settle

ACCOUNTS = Scenarios()
CATALOGUE = load_catalogue(providers_file=None, environ={})


def grant(amount: int, reference: str) -> Action:
    async def work(worker: RecoveryUnderTest) -> object:
        return await GrantCredits(worker.transactions)(
            "ada", GrantRecord.model_validate({"amount": amount, "referenceId": reference})
        )

    return work


def register(body: dict[str, Any]) -> Action:
    record = TaskRecord.model_validate(body)

    async def work(worker: RecoveryUnderTest) -> object:
        return await RegisterTask(worker.transactions, CATALOGUE)(record)

    return work


async def _claimed(setting: Setting, *, balance: int = 100, **more: Any) -> Resolution:
    """A claim of ada's only task, which failed."""
    await setting.factory.task(await setting.factory.user("ada", balance=balance), **more)
    (task,) = await setting.claims(await setting.run())
    return await setting.resolved(task, failed(task))


async def _account(setting: Setting) -> Any:
    return await setting.value("SELECT (balance, frozen_balance) FROM credit_accounts")


@ACCOUNTS("credits are given to a user whose task is settled")
async def _(setting: Setting) -> Plan:
    released = await _claimed(setting)

    async def check(_: Results) -> None:
        assert await _account(setting) == (150, 0)

    return Plan(grant(50, "order-1"), settle(released), check, is_repeated=True)


@ACCOUNTS("one purchase is sent twice at once")
async def _(setting: Setting) -> Plan:
    await setting.factory.user("ada")

    async def check(_: Results) -> None:
        assert await _account(setting) == (150, 0)

    return Plan(grant(50, "order-1"), grant(50, "order-1"), check, is_repeated=True)


@ACCOUNTS("a task is registered with the credits that another one gives back")
async def _(setting: Setting) -> Plan:
    released = await _claimed(setting, balance=10)

    async def check(results: Results) -> None:
        taken = isinstance(results[0], Registered)
        assert taken or isinstance(results[0], NotEnoughCredits)
        assert await _account(setting) == (10, 10 if taken else 0)

    return Plan(register(task_body()), settle(released), check, is_repeated=True)


@ACCOUNTS("a task is registered while a prepaid one of the user is refunded")
async def _(setting: Setting) -> Plan:
    refunded = await _claimed(setting, balance=10, billing="prepaid")

    async def check(_: Results) -> None:
        assert await _account(setting) == (20, 10)

    return Plan(register(task_body()), settle(refunded), check, is_repeated=True)


@ACCOUNTS("two tasks are registered with credits for one")
async def _(setting: Setting) -> Plan:
    await setting.factory.user("ada", balance=15)

    async def check(results: Results) -> None:
        assert sorted(type(result).__name__ for result in results) == ["NotEnoughCredits", "Registered"]
        assert await _account(setting) == (15, 10)

    return Plan(register(task_body()), register(task_body()), check, is_repeated=True)


@ACCOUNTS("one task is registered twice at once")
async def _(setting: Setting) -> Plan:
    await setting.factory.user("ada")
    body = task_body()

    async def check(results: Results) -> None:
        assert sorted(type(result).__name__ for result in results) == [AlreadyKnown.__name__, Registered.__name__]
        assert await _account(setting) == (100, 10)

    return Plan(register(body), register(body), check, is_repeated=True)


@ACCOUNTS("an app names the provider's id of a task that is just failed for having none")
async def _(setting: Setting) -> Plan:
    await setting.factory.user("ada")
    body = task_body(id=str(UUID(int=1)), providerTaskId=None)
    await register(body)(setting.worker())
    old = "UPDATE tasks SET submitted_at = now() - interval '2 hours', next_check_at = now() - interval '1 hour'"
    await setting.execute(old)
    (task,) = await setting.claims(await setting.run())
    never_submitted = await setting.resolved(task)

    async def check(results: Results) -> None:
        named = isinstance(results[0], AlreadyKnown)
        assert await setting.value("SELECT status FROM tasks") == ("processing" if named else "failed")

    return Plan(register({**body, "providerTaskId": "p-late"}), settle(never_submitted), check, is_repeated=True)
