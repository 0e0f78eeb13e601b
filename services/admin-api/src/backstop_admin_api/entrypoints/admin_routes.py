"""The REST API of the dashboard: runs, their tasks, jobs, and triggering one."""

from __future__ import annotations

from typing import Annotated, Any, assert_never
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from backstop_admin_api.application.run import Run
from backstop_admin_api.application.trigger_run import AlreadyActive, NoSuchJob, Requested
from backstop_admin_api.domain import RunCursor
from backstop_admin_api.entrypoints.answers import answer_when_over
from backstop_admin_api.entrypoints.authentication import CurrentAdmin
from backstop_admin_api.entrypoints.context import AdminApi, Context
from backstop_admin_api.entrypoints.cron_routes import TRIGGER_RESPONSES, IdempotencyKey, WaitSeconds
from backstop_admin_api.entrypoints.problems import ProblemError
from backstop_admin_api.entrypoints.shapes import (
    Execution,
    Executions,
    ExecutionTask,
    ExecutionTasks,
    ExecutionWithReport,
    JobName,
    Jobs,
    JobShape,
    Problem,
    Report,
    RunStatus,
    Stats,
    TriggerRequest,
)

_REFUSALS: dict[int | str, dict[str, Any]] = {401: {"model": Problem}, 422: {"model": Problem}}

router = APIRouter(prefix="/api/admin", tags=["admin"], responses=_REFUSALS)

PageSize = Annotated[int, Query(ge=1, le=200)]
EventCursor = Annotated[int, Query(ge=0, le=2**63 - 1, description="`nextCursor` of the page before.")]


@router.post(
    "/trigger-cron",
    status_code=202,
    responses={
        **TRIGGER_RESPONSES,
        403: {"model": Problem},
        404: {"model": Problem},
        409: {
            "model": Problem,
            "description": "A run (for a dry run: a dry run) is active or about to start: `executionId`.",
        },
    },
)
async def trigger_cron(
    request: Request,
    context: Context,
    admin: CurrentAdmin,
    *,
    body: TriggerRequest | None = None,
    wait: WaitSeconds = 0,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """Run a job now, or try what a run would do."""
    wish = body or TriggerRequest()
    job_name = wish.job_name
    answer = await context.trigger_run.by_person(
        job_name, actor=admin.actor, via=admin.via, key=idempotency_key, dry_run=wish.dry_run
    )
    match answer:
        case Requested(run_id=run_id):
            return await answer_when_over(context, request, run_id, seconds=wait)
        case AlreadyActive(run_id=run_id):
            detail = f"A {'dry run' if wish.dry_run else 'run'} of this job is active; wait for it or look at it."
            raise ProblemError(409, detail, executionId=str(run_id))
        case NoSuchJob():
            raise no_such_job(job_name)
        case _:
            assert_never(answer)


@router.get("/cron-jobs", response_model=Executions)
async def list_executions(
    response: Response,
    context: Context,
    _: CurrentAdmin,
    *,
    job_name: Annotated[JobName | None, Query(alias="jobName")] = None,
    status: RunStatus | None = None,
    limit: PageSize = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    dry_run: Annotated[bool | None, Query(alias="dryRun", description="Only dry runs, or only the others.")] = None,
) -> Executions:
    """Runs, newest first, with the statistics over all of them but dry runs."""
    response.headers["Cache-Control"] = "no-store"
    page = await context.list_runs(
        job_name=job_name, status=status, limit=limit, cursor=parsed_cursor(cursor), dry_run=dry_run
    )
    return Executions(
        executions=[Execution.model_validate(run) for run in page.runs],
        stats=Stats.model_validate(await context.summarize_runs(job_name)),
        next_cursor=page.next.text() if page.next else None,
    )


@router.get("/cron-jobs/{executionId}", response_model=ExecutionWithReport, responses={404: {"model": Problem}})
async def read_execution(
    response: Response,
    context: Context,
    _: CurrentAdmin,
    executionId: UUID,  # noqa: N803 - the name in the address
) -> ExecutionWithReport:
    """One run, a dry run with its report; 404 until recovery has started it."""
    response.headers["Cache-Control"] = "no-store"
    run = await existing_run(context, executionId)
    report = await context.report_dry_run(run.id) if run.dry_run else None
    return ExecutionWithReport(
        **Execution.model_validate(run).model_dump(),
        report=None if report is None else Report.model_validate(report),
    )


@router.get("/cron-jobs/{executionId}/tasks", response_model=ExecutionTasks, responses={404: {"model": Problem}})
async def list_execution_tasks(
    response: Response,
    context: Context,
    _: CurrentAdmin,
    executionId: UUID,  # noqa: N803 - the name in the address
    limit: PageSize = 50,
    cursor: EventCursor = 0,
) -> ExecutionTasks:
    """The tasks a run checked (a dry run: asked about), in the order in which it dealt with them."""
    response.headers["Cache-Control"] = "no-store"
    run = await existing_run(context, executionId)
    page = await context.list_run_tasks(executionId, limit=limit, after=cursor, dry_run=run.dry_run)
    return ExecutionTasks(
        tasks=[ExecutionTask.model_validate(task) for task in page.tasks],
        next_cursor=None if page.next is None else str(page.next),
    )


@router.get("/jobs", response_model=Jobs)
async def list_jobs(response: Response, context: Context, _: CurrentAdmin) -> Jobs:
    """The jobs: schedules, next and last slots, last runs."""
    response.headers["Cache-Control"] = "no-store"
    return Jobs(jobs=[JobShape.model_validate(job) for job in await context.list_jobs()])


async def existing_run(context: AdminApi, run_id: UUID) -> Run:
    """The run.

    Raises:
        ProblemError: 404.
    """
    run = await context.read_run(run_id)
    if run is None:
        raise ProblemError(404, f"There is no run {run_id}, or it has not started yet.")
    return run


def parsed_cursor(text: str | None) -> RunCursor | None:
    """The cursor of a query.

    Raises:
        ProblemError: 422.
    """
    try:
        return None if text is None else RunCursor.parse(text)
    except ValueError:
        message = "take it from nextCursor as it is"
        errors = [{"field": "cursor", "in": "query", "message": message}]
        raise ProblemError(422, f"cursor: {message}", errors=errors) from None


def no_such_job(job_name: str) -> ProblemError:
    """404 for a job nobody registered."""
    return ProblemError(404, f"There is no job {job_name!r}; GET /api/admin/jobs lists them.")
