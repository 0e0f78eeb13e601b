"""What recovery does when a message arrives: start a run, or ring the pool's bell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backstop_common.contracts import ActOnTask, LiftHold, RunSweep, TaskCheck, TickDue
from backstop_common.messaging import Delivery, Subscription, subscription
from backstop_recovery.application.carry_out_action import CarryOutAction
from backstop_recovery.application.lift_hold import LiftFailureHold
from backstop_recovery.application.request_check import RequestCheck
from backstop_recovery.application.schedule_first_checks import ScheduleFirstChecks
from backstop_recovery.application.start_run import StartRun
from backstop_recovery.application.sweep import Sweep

SERVICE = "recovery"


@dataclass(frozen=True, slots=True)
class Handlers:
    """The messages of recovery."""

    schedule_first_checks: ScheduleFirstChecks
    start_run: StartRun
    request_check: RequestCheck
    carry_out_action: CarryOutAction
    lift_hold: LiftFailureHold
    sweep: Sweep
    wake: Callable[[], None]

    def subscriptions(self) -> list[Subscription]:
        """The table that is bound to RabbitMQ or to the local dispatcher."""
        return [
            subscription(SERVICE, TickDue, self.on_tick_due),
            subscription(SERVICE, RunSweep, self.on_run_sweep),
            subscription(SERVICE, TaskCheck, self.on_task_check),
            subscription(SERVICE, ActOnTask, self.on_task_act),
            subscription(SERVICE, LiftHold, self.on_hold_lift),
        ]

    async def on_tick_due(self, tick: TickDue, delivery: Delivery) -> None:
        """A slot is due: new tasks get their times first, so that the run sees those that are stuck already.

        A dry run stamps nothing; it reckons those times by itself.
        """
        if not tick.dry_run:
            await self.schedule_first_checks()
        await self.start_run(tick, delivery)

    async def on_run_sweep(self, _: RunSweep, __: Delivery) -> None:
        """A doorbell: there may be work in the database."""
        self.wake()

    async def on_task_check(self, request: TaskCheck, delivery: Delivery) -> None:
        """A doorbell for one task; a new one gets its times first, which it would have got at the next tick."""
        await self.schedule_first_checks()
        if await self.request_check(request, delivery):
            self.sweep.request(request.task_id)
            self.wake()

    async def on_task_act(self, request: ActOnTask, delivery: Delivery) -> None:
        """A person decided about one task; one to be looked at gets its times first, if it is new."""
        if request.action == "recover":
            await self.schedule_first_checks()
        if await self.carry_out_action(request, delivery):
            self.sweep.request(request.task_id)
            self.wake()

    async def on_hold_lift(self, request: LiftHold, delivery: Delivery) -> None:
        """A person decided about withheld failures; the next run acts on it."""
        await self.lift_hold(request, delivery)
