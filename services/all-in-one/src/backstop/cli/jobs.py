"""`jobs`: the schedules."""

from __future__ import annotations

import asyncio

import typer

from backstop.cli.database import command_transactions, database_address
from backstop.cli.output import console, local, moment, plain_table, print_json
from backstop.cli.runs import AsJson
from backstop_admin_api.application.list_jobs import Job, ListJobs


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("jobs")(list_jobs)


def list_jobs(as_json: AsJson = False) -> None:
    """List the jobs with their schedules, next and last slots."""
    with database_address() as url:
        jobs = asyncio.run(_list(url))
    if as_json:
        print_json([_as_json(job) for job in jobs])
    elif jobs:
        console.print(plain_table(["job", "schedule", "zone", "next", "last", "paused"], [_row(job) for job in jobs]))
    else:
        console.print("No jobs yet: the scheduler registers its job when it starts.")


async def _list(url: str) -> list[Job]:
    async with command_transactions(url) as transactions:
        return list(await ListJobs(transactions)())


def _row(job: Job) -> dict[str, object]:
    return {
        "job": job.name,
        "schedule": f"{job.schedule} ({job.schedule_in_words})",
        "zone": job.timezone,
        "next": local(job.next_slot),
        "last": local(job.last_slot),
        "paused": f"by {job.paused_by}: {job.pause_note}" if job.is_paused else None,
    }


def _as_json(job: Job) -> dict[str, object]:
    return {
        "name": job.name,
        "schedule": job.schedule,
        "timezone": job.timezone,
        "overlap": job.overlap,
        "nextSlot": moment(job.next_slot),
        "lastSlot": moment(job.last_slot),
        "pausedAt": moment(job.paused_at),
        "pausedBy": job.paused_by,
        "pauseNote": job.pause_note,
    }
