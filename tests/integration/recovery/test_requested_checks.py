"""A check that somebody asked for is made, also when it is asked for at a bad moment."""

from __future__ import annotations

from uuid import uuid4

import pytest

from backstop_common.contracts import ActOnTask, TaskCheck
from backstop_common.database import Transactions
from backstop_common.messaging import Delivery
from backstop_recovery.application.carry_out_action import CarryOutAction
from backstop_recovery.application.request_check import RequestCheck
from backstop_recovery.application.schedule_first_checks import Patience, ScheduleFirstChecks
from backstop_recovery.application.start_run import StartRun
from backstop_recovery.entrypoints.handlers import Handlers
from tests.support.factories import Factory
from tests.support.recovery import RecoveryUnderTest
from tests.support.resolutions import still_open


async def test_a_check_asked_for_while_a_worker_asks_the_provider_is_made_after_it(
    transactions: Transactions,
) -> None:
    task = await Factory(transactions).task()
    busy, asked = RecoveryUnderTest(transactions), RecoveryUnderTest(transactions)
    claimed = await busy.claim_tasks.one(task)
    assert claimed is not None
    sweep = asked.sweep()
    sweep.request(task)
    await sweep.run_once()
    assert asked.providers.asked == []
    await busy.settle_tasks([still_open(claimed)])
    while await sweep.run_once():
        pass
    assert asked.providers.asked == [claimed.provider_task_id]


async def test_a_check_of_a_task_that_has_ended_is_forgotten(transactions: Transactions) -> None:
    task = await Factory(transactions).task(billing="none")
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET status = 'completed', finished_at = clock_timestamp()")
    recovery = RecoveryUnderTest(transactions)
    sweep = recovery.sweep()
    sweep.request(task)
    assert await sweep.run_once() is False
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET status = 'processing', finished_at = NULL")
    assert await sweep.run_once() is False
    assert recovery.providers.asked == []


@pytest.mark.parametrize("by", ["a webhook", "a person"])
async def test_a_task_whose_check_comes_before_its_first_stamp_gets_its_turn_and_deadline_too(
    transactions: Transactions, by: str
) -> None:
    task = await Factory(transactions).task()
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET next_check_at = NULL")
    recovery = RecoveryUnderTest(transactions)
    handlers = Handlers(
        schedule_first_checks=ScheduleFirstChecks(transactions, [Patience("replicate", "video", 600, 3600)], 600),
        start_run=StartRun(transactions, 2, 3600),
        request_check=RequestCheck(transactions),
        carry_out_action=CarryOutAction(transactions, recovery.claim_tasks, recovery.settle_tasks),
        lift_hold=None,  # type: ignore[arg-type]
        sweep=recovery.sweep(),
        wake=lambda: None,
    )
    if by == "a webhook":
        check = TaskCheck(task_id=task, reason="webhook")
        await handlers.on_task_check(check, Delivery("recovery.task.check", uuid4(), None))
    else:
        wish = ActOnTask(task_id=task, action="recover", actor="ada")
        await handlers.on_task_act(wish, Delivery("recovery.task.act", uuid4(), None))
    async with transactions.read() as reading:
        row = await reading.row(
            "SELECT output_deadline_at = submitted_at + interval '1 hour' AS stamped,"
            " next_check_at <= clock_timestamp() AS due FROM tasks"
        )
    assert row is not None
    assert (row["stamped"], row["due"]) == (True, True)
