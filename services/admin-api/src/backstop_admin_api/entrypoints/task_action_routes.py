"""What a person may do about one open task."""

from __future__ import annotations

from typing import Annotated, Any, assert_never
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from backstop_admin_api.application.request_action import Accepted, Action, AlreadyEnded, NoSuchTask
from backstop_admin_api.entrypoints.authentication import Admin, CurrentAdmin
from backstop_admin_api.entrypoints.context import AdminApi, Context
from backstop_admin_api.entrypoints.problems import ProblemError
from backstop_admin_api.entrypoints.shapes import Problem, Shape, Storable

_REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem},
    403: {"model": Problem},
    404: {"model": Problem, "description": "There is no such task."},
    409: {"model": Problem, "description": "The task has ended; its end stands."},
    422: {"model": Problem},
}

router = APIRouter(prefix="/api/admin/tasks", tags=["admin"], responses=_REFUSALS)


class ActionRequest(Shape):
    """Why, for the audit log and the task's timeline; the user does not see it."""

    note: Annotated[str, Field(max_length=500), Storable] | None = None


class ActionAccepted(Shape):
    """Recovery carries it out within moments; `GET /api/tasks/{id}` shows when it has."""

    task_id: UUID
    action: Action


@router.post("/{id}/recover", status_code=202)
async def recover_task(
    context: Context,
    admin: CurrentAdmin,
    id: UUID,  # noqa: A002 - the name in the address
    body: ActionRequest | None = None,
) -> ActionAccepted:
    """Check the task now; one that needed attention is open again, with its failures forgotten."""
    return await _request(context, admin, id, "recover", body)


@router.post("/{id}/fail", status_code=202)
async def fail_task(
    context: Context,
    admin: CurrentAdmin,
    id: UUID,  # noqa: A002 - the name in the address
    body: ActionRequest | None = None,
) -> ActionAccepted:
    """End the task as failed: its credits go back and the user is told."""
    return await _request(context, admin, id, "fail", body)


@router.post("/{id}/ignore", status_code=202)
async def ignore_task(
    context: Context,
    admin: CurrentAdmin,
    id: UUID,  # noqa: A002 - the name in the address
    body: ActionRequest | None = None,
) -> ActionAccepted:
    """Leave the task alone for good: nothing moves, nobody is told, held credits stay frozen."""
    return await _request(context, admin, id, "ignore", body)


async def _request(
    context: AdminApi, admin: Admin, task_id: UUID, action: Action, body: ActionRequest | None
) -> ActionAccepted:
    note = None if body is None else body.note
    answer = await context.request_action(task_id, action, actor=admin.actor, via=admin.via, note=note)
    match answer:
        case Accepted():
            return ActionAccepted(task_id=task_id, action=action)
        case AlreadyEnded(status=status):
            raise ProblemError(409, f"The task is {status} already, and stays so.")
        case NoSuchTask():
            raise ProblemError(404, f"There is no task {task_id}.")
        case _:
            assert_never(answer)
