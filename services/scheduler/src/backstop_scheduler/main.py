"""Composition of the scheduler: the only module that knows all others."""

from __future__ import annotations

from datetime import timedelta

from backstop_common.loop import Loop
from backstop_common.running import Runtime, Service
from backstop_scheduler.register_job import RegisterJob
from backstop_scheduler.settings import SchedulerSettings
from backstop_scheduler.tick_jobs import TickJobs

JOB = "process-stuck-tasks"

_INTERVAL_SECONDS = 1.0


def compose(settings: SchedulerSettings, runtime: Runtime) -> Service:
    """The scheduler as a service of this process."""
    register = RegisterJob(runtime.transactions)
    tick_jobs = TickJobs(runtime.transactions, timedelta(seconds=settings.catch_up_seconds))

    async def start() -> None:
        await register(name=JOB, schedule=settings.schedule, timezone=settings.timezone)

    return Service(
        name="scheduler",
        host=settings.host,
        port=settings.port,
        port_setting="BACKSTOP_SCHEDULER_PORT",
        loops=[Loop("scheduler", tick_jobs, interval_seconds=_INTERVAL_SECONDS)],
        start=start,
    )
