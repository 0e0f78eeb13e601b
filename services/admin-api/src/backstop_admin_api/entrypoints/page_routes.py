"""The pages of the dashboard, and the fragments that keep them up to date."""

from __future__ import annotations

from typing import Annotated, Any, assert_never
from uuid import UUID, uuid4

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from backstop_admin_api.application.trigger_run import AlreadyActive, NoSuchJob, Requested
from backstop_admin_api.entrypoints.admin_routes import EventCursor, existing_run, no_such_job, parsed_cursor
from backstop_admin_api.entrypoints.authentication import CurrentSession
from backstop_admin_api.entrypoints.context import AdminApi, Context
from backstop_admin_api.entrypoints.login_routes import HOME
from backstop_admin_api.entrypoints.shapes import DEFAULT_JOB, JobName

_RUNS_PER_PAGE = 50
_TASKS_PER_PAGE = 100
_START_PATIENCE_SECONDS = 3.0

router = APIRouter(include_in_schema=False)

JobQuery = Annotated[JobName, Query(alias="jobName")]
CursorQuery = Annotated[str | None, Query(max_length=200)]
KeyField = Annotated[str | None, Form(max_length=200, pattern=r"^[\x21-\x7e]+$")]


@router.get("/")
@router.get("/admin")
async def go_home() -> Response:
    """The dashboard is the first page."""
    return RedirectResponse(HOME)


@router.get("/admin/cron-jobs")
async def show_runs(
    context: Context,
    session: CurrentSession,
    job_name: JobQuery = DEFAULT_JOB,
    cursor: CursorQuery = None,
    notice: Annotated[str | None, Query(max_length=20)] = None,
) -> Response:
    """The dashboard."""
    history = await _history(context, job_name, cursor)
    return context.pages.page("cron_jobs.html", session=session, request_key=uuid4().hex, notice=notice, **history)


@router.get("/admin/fragments/cron-jobs")
async def refresh_runs(
    request: Request,
    context: Context,
    _: CurrentSession,
    job_name: JobQuery = DEFAULT_JOB,
    cursor: CursorQuery = None,
) -> Response:
    """The part of the dashboard that changes."""
    return context.pages.fragment(request, "_runs.html", **await _history(context, job_name, cursor))


async def _history(context: AdminApi, job_name: str, cursor: str | None) -> dict[str, Any]:
    page = await context.list_runs(job_name=job_name, status=None, limit=_RUNS_PER_PAGE, cursor=parsed_cursor(cursor))
    jobs = await context.list_jobs()
    return {
        "job_name": job_name,
        "job": next((job for job in jobs if job.name == job_name), None),
        "jobs": jobs,
        "hold": await context.read_hold(job_name),
        "runs": page.runs,
        "statistics": await context.summarize_runs(job_name),
        "cursor": cursor,
        "older": page.next.text() if page.next else None,
    }


@router.post("/admin/cron-jobs/trigger")
async def trigger(
    request: Request,
    context: Context,
    _: CurrentSession,
    job_name: Annotated[JobName, Form(alias="jobName")] = DEFAULT_JOB,
    key: KeyField = None,
    dry_run: Annotated[bool, Form(alias="dryRun")] = False,
) -> Response:
    """Trigger Now without scripts: ask for the run, give it a moment to start, show it."""
    answer = await context.trigger_run.by_person(job_name, actor="admin", via="page", key=key, dry_run=dry_run)
    match answer:
        case Requested(run_id=run_id):

            async def is_wanted() -> bool:
                return not await request.is_disconnected()

            await context.wait_for_run(run_id, seconds=_START_PATIENCE_SECONDS, is_wanted=is_wanted, started=True)
            return RedirectResponse(f"{HOME}/{run_id}?notice=requested", status_code=303)
        case AlreadyActive(run_id=run_id):
            return RedirectResponse(f"{HOME}/{run_id}?notice=active", status_code=303)
        case NoSuchJob():
            raise no_such_job(job_name)
        case _:
            assert_never(answer)


@router.get("/admin/cron-jobs/{run_id}")
async def show_run(
    context: Context,
    session: CurrentSession,
    run_id: UUID,
    notice: Annotated[str | None, Query(max_length=20)] = None,
    cursor: EventCursor = 0,
) -> Response:
    """One run and its tasks; one that was just asked for may not be there yet."""
    if notice in {"requested", "active"} and await context.read_run(run_id) is None:
        return context.pages.page("run_pending.html", session=session, run_id=run_id, notice=notice)
    return context.pages.page("run.html", session=session, notice=notice, **await _run(context, run_id, cursor))


@router.get("/admin/fragments/cron-jobs/{run_id}")
async def refresh_run(
    request: Request, context: Context, _: CurrentSession, run_id: UUID, cursor: EventCursor = 0
) -> Response:
    """The part of a run's page that changes while it goes on."""
    return context.pages.fragment(request, "_run.html", **await _run(context, run_id, cursor))


async def _run(context: AdminApi, run_id: UUID, cursor: int) -> dict[str, Any]:
    run = await existing_run(context, run_id)
    page = await context.list_run_tasks(run_id, limit=_TASKS_PER_PAGE, after=cursor, dry_run=run.dry_run)
    report = await context.report_dry_run(run_id) if run.dry_run else None
    return {"run": run, "tasks": page.tasks, "cursor": cursor, "more": page.next, "report": report}
