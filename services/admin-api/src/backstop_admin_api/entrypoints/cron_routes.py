"""The endpoint for any cron: a Kubernetes CronJob, a hosted scheduler, curl in a crontab."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse

from backstop_admin_api.application.trigger_run import NoSuchJob
from backstop_admin_api.entrypoints.answers import answer_when_over
from backstop_admin_api.entrypoints.authentication import require_cron_secret
from backstop_admin_api.entrypoints.context import Context
from backstop_admin_api.entrypoints.problems import ProblemError
from backstop_admin_api.entrypoints.shapes import DEFAULT_JOB, Accepted, Finished, Problem

WaitSeconds = Annotated[float, Query(ge=0, le=900, description="Hold the answer for at most so many seconds.")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key always answers with the same run.",
    ),
]
TRIGGER_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": Finished, "description": "The run is over (only with `wait`)."},
    202: {"model": Accepted, "description": "The run was requested."},
    401: {"model": Problem},
    422: {"model": Problem},
}

router = APIRouter(tags=["cron"])


@router.get(
    "/api/cron/process-stuck-tasks",
    dependencies=[Depends(require_cron_secret)],
    status_code=202,
    responses=TRIGGER_RESPONSES,
    operation_id="run_by_cron_with_get",
)
@router.post(
    "/api/cron/process-stuck-tasks",
    dependencies=[Depends(require_cron_secret)],
    status_code=202,
    responses=TRIGGER_RESPONSES,
    operation_id="run_by_cron",
)
async def run_by_cron(
    request: Request, context: Context, wait: WaitSeconds = 0, idempotency_key: IdempotencyKey = None
) -> JSONResponse:
    """Bearer CRON_SECRET. An active run does not refuse it: the job's overlap policy decides, and says so."""
    requested = await context.trigger_run.by_cron(DEFAULT_JOB, key=idempotency_key)
    if isinstance(requested, NoSuchJob):
        raise ProblemError(404, f"There is no job {requested.job_name!r}; start the scheduler, it registers the job.")
    return await answer_when_over(context, request, requested.run_id, seconds=wait)
