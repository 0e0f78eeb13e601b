"""The pages on which a person decides about withheld failures; they need no scripts."""

from __future__ import annotations

import asyncio
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Form, Query, Response
from fastapi.responses import RedirectResponse

from backstop_admin_api.application.decide_hold import Decision
from backstop_admin_api.entrypoints.authentication import CurrentSession
from backstop_admin_api.entrypoints.context import AdminApi, Context
from backstop_admin_api.entrypoints.hold_routes import Note, decided, existing_hold
from backstop_admin_api.entrypoints.login_routes import HOME
from backstop_admin_api.entrypoints.shapes import DEFAULT_JOB, JobName

_PATIENCE_SECONDS = 3.0
_LOOK_SECONDS = 0.2

router = APIRouter(include_in_schema=False)


@router.get("/admin/cron-jobs/hold/{decision}")
async def ask(
    context: Context,
    session: CurrentSession,
    decision: Decision,
    job_name: Annotated[JobName, Query(alias="jobName")] = DEFAULT_JOB,
) -> Response:
    """What it means, what it is about, and why: then it can be confirmed."""
    hold = await existing_hold(context, job_name)
    return context.pages.page("hold.html", session=session, hold=hold, decision=decision)


@router.post("/admin/cron-jobs/hold/{decision}")
async def confirm(
    context: Context,
    _: CurrentSession,
    decision: Decision,
    note: Annotated[Note, Form()],
    hold_id: Annotated[UUID, Form(alias="holdId")],
    job_name: Annotated[JobName, Form(alias="jobName")] = DEFAULT_JOB,
) -> Response:
    """Tell recovery, give it a moment, and go back to the dashboard."""
    answer = await context.decide_hold(job_name, decision, actor="admin", via="page", note=note, hold_id=hold_id)
    await _wait_until_lifted(context, job_name, decided(answer, job_name))
    query = urlencode({"jobName": job_name, "notice": decision})
    return RedirectResponse(f"{HOME}?{query}", status_code=303)


async def _wait_until_lifted(context: AdminApi, job_name: str, hold_id: UUID) -> None:
    """Long enough for a recovery that is there; without one the dashboard goes on showing the hold."""
    deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        hold = await context.read_hold(job_name)
        if hold is None or hold.id != hold_id:
            return
        await asyncio.sleep(_LOOK_SECONDS)
