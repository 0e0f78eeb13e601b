"""The hold on a job's failures: what waits, and what a person decides about it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, assert_never
from uuid import UUID

from fastapi import APIRouter, Path, Response
from pydantic import Field, StringConstraints

from backstop_admin_api.application.decide_hold import AlreadyLifted, Decision, NoHold, Told
from backstop_admin_api.application.read_hold import Hold
from backstop_admin_api.entrypoints.authentication import Admin, CurrentAdmin
from backstop_admin_api.entrypoints.context import AdminApi, Context
from backstop_admin_api.entrypoints.problems import ProblemError
from backstop_admin_api.entrypoints.shapes import JobName, Problem, Shape, Storable

_REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem},
    403: {"model": Problem},
    404: {"model": Problem, "description": "Nothing of this job is held."},
    422: {"model": Problem},
}
_LIFTED: dict[int | str, dict[str, Any]] = {
    409: {"model": Problem, "description": "Somebody decided before: `decision`, `liftedBy`, `liftedAt`."}
}

router = APIRouter(prefix="/api/admin/jobs", tags=["admin"], responses=_REFUSALS)

Name = Annotated[JobName, Path(alias="name")]
Note = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), Storable]


class WithheldTasksShape(Shape):
    """The tasks of one provider that would end in one way."""

    provider: str
    outcome: str
    tasks: int
    credits_returned: int


class HoldShape(Shape):
    """A run would have failed `failedCount` of `checkedCount` tasks, and stopped; `withheld` is what waits now."""

    id: UUID
    job_name: str
    run_id: UUID
    failed_count: int
    checked_count: int
    limit_percent: int
    held_at: datetime
    tasks: int
    credits_returned: int
    withheld: list[WithheldTasksShape]


class DecisionRequest(Shape):
    """Why, for the audit log and the timelines."""

    note: Note
    hold_id: Annotated[UUID | None, Field(description="The hold that was looked at; a newer one is then refused.")] = (
        None
    )


class DecisionAccepted(Shape):
    """Recovery lifts the hold within moments; the next run checks what was withheld."""

    hold_id: UUID
    decision: Decision


@router.get("/{name}/hold")
async def read_hold(response: Response, context: Context, _: CurrentAdmin, name: Name) -> HoldShape:
    """The open hold, what waits by provider and outcome, and the credits that would go back."""
    response.headers["Cache-Control"] = "no-store"
    return HoldShape.model_validate(await existing_hold(context, name))


@router.post("/{name}/hold/approve", status_code=202, responses=_LIFTED)
async def approve_hold(context: Context, admin: CurrentAdmin, name: Name, body: DecisionRequest) -> DecisionAccepted:
    """Let what is withheld end: the next run asks once more and believes the answer, however many fail."""
    return await _decide(context, admin, name, "approve", body)


@router.post("/{name}/hold/recheck", status_code=202, responses=_LIFTED)
async def recheck_hold(context: Context, admin: CurrentAdmin, name: Name, body: DecisionRequest) -> DecisionAccepted:
    """Ask the providers once more, approving nothing: a run that finds the same stops again."""
    return await _decide(context, admin, name, "recheck", body)


async def existing_hold(context: AdminApi, job_name: str) -> Hold:
    """The open hold of a job.

    Raises:
        ProblemError: 404.
    """
    hold = await context.read_hold(job_name)
    if hold is None:
        raise ProblemError(404, f"No failures of {job_name!r} are held.")
    return hold


def decided(answer: Told | AlreadyLifted | NoHold, job_name: str) -> UUID:
    """The hold that recovery was told to lift.

    Raises:
        ProblemError: 404 or 409.
    """
    match answer:
        case Told(hold_id=hold_id):
            return hold_id
        case AlreadyLifted(decision=decision, lifted_by=lifted_by, lifted_at=lifted_at):
            detail = f"This hold was lifted already: {lifted_by} decided to {decision}."
            raise ProblemError(409, detail, decision=decision, liftedBy=lifted_by, liftedAt=lifted_at.isoformat())
        case NoHold():
            raise ProblemError(404, f"No failures of {job_name!r} are held.")
        case _:
            assert_never(answer)


async def _decide(
    context: AdminApi, admin: Admin, job_name: str, decision: Decision, body: DecisionRequest
) -> DecisionAccepted:
    answer = await context.decide_hold(
        job_name, decision, actor=admin.actor, via=admin.via, note=body.note, hold_id=body.hold_id
    )
    return DecisionAccepted(hold_id=decided(answer, job_name), decision=decision)
