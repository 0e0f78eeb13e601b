"""Registering tasks and reading them, for apps."""

from __future__ import annotations

from typing import assert_never
from uuid import UUID

from fastapi import APIRouter, Response

from backstop_admin_api.application.intake_outcomes import (
    AlreadyKnown,
    Differs,
    Invalid,
    NotEnoughCredits,
    Refusal,
    Registered,
)
from backstop_admin_api.application.records import TaskRecord
from backstop_admin_api.entrypoints.api_keys import KEY_REFUSALS, require_scope
from backstop_admin_api.entrypoints.context import AdminApi, Context
from backstop_admin_api.entrypoints.problems import ProblemError
from backstop_admin_api.entrypoints.shapes import Problem
from backstop_admin_api.entrypoints.task_shapes import AddressedTaskShape

router = APIRouter(prefix="/api/tasks", tags=["intake"], responses=KEY_REFUSALS)


@router.post(
    "",
    status_code=201,
    response_model=AddressedTaskShape,
    dependencies=require_scope("tasks:write"),
    responses={
        200: {"model": AddressedTaskShape, "description": "The same task was registered before."},
        402: {"model": Problem, "description": "The credits of the `hold` are not there: `required`, `available`."},
        409: {"model": Problem, "description": "A task of this id is there and differs; `errors` names the field."},
    },
)
async def register_task(response: Response, context: Context, body: TaskRecord) -> AddressedTaskShape:
    """Register a task with its provider's id; `hold` freezes the credits. Idempotent by `id`."""
    outcome = await context.register_task(body)
    match outcome:
        case Registered(id=task_id):
            response.status_code = 201
        case AlreadyKnown(id=task_id):
            response.status_code = 200
        case Differs() | Invalid() | NotEnoughCredits():
            raise _refused(outcome)
        case _:
            assert_never(outcome)
    response.headers["Location"] = f"/api/tasks/{task_id}"
    return await _shape(response, context, task_id)


@router.get(
    "/{id}",
    response_model=AddressedTaskShape,
    dependencies=require_scope("tasks:read"),
    responses={404: {"model": Problem, "description": "There is no such task."}},
)
async def read_task(response: Response, context: Context, id: UUID) -> AddressedTaskShape:  # noqa: A002 - the name in the address
    """A task: status, outputs, failure, what moved in the ledger, and the timeline."""
    return await _shape(response, context, id)


async def _shape(response: Response, context: AdminApi, task_id: UUID) -> AddressedTaskShape:
    task = await context.read_task(task_id)
    if task is None:
        raise ProblemError(404, f"There is no task {task_id}; register it with POST /api/tasks.")
    response.headers["Cache-Control"] = "no-store"
    return AddressedTaskShape.at(task, context.webhook_addresses.address(task.provider, task.id))


def _refused(refusal: Refusal) -> ProblemError:
    match refusal:
        case NotEnoughCredits(required=required, available=available):
            detail = f"The hold needs {required} credits and the user has {available} that are not frozen."
            return ProblemError(402, detail, required=required, available=available)
        case Differs(field=name, message=message):
            return _about(409, name, message)
        case Invalid(field=name, message=message):
            return _about(422, name, message)
        case _:
            assert_never(refusal)


def _about(status: int, name: str, message: str) -> ProblemError:
    return ProblemError(status, f"{name}: {message}", errors=[{"field": name, "in": "body", "message": message}])
