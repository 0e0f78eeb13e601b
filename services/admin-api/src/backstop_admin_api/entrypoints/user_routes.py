"""Users and their credits, for apps."""

from __future__ import annotations

from typing import Annotated, assert_never

from fastapi import APIRouter, Path, Response

from backstop_admin_api.application.grant_credits import GrantDiffers, Granted, NoSuchUser
from backstop_admin_api.application.records import GrantRecord, UserId, UserRecord
from backstop_admin_api.entrypoints.api_keys import KEY_REFUSALS, require_scope
from backstop_admin_api.entrypoints.context import Context
from backstop_admin_api.entrypoints.problems import ProblemError
from backstop_admin_api.entrypoints.shapes import Problem
from backstop_admin_api.entrypoints.task_shapes import GrantShape, UserShape

router = APIRouter(
    prefix="/api/users", tags=["intake"], responses=KEY_REFUSALS, dependencies=require_scope("tasks:write")
)

UserInPath = Annotated[UserId, Path()]


@router.put("/{id}", response_model=UserShape)
async def put_user(response: Response, context: Context, id: UserInPath, body: UserRecord) -> UserShape:  # noqa: A002 - the name in the address
    """Make a user known, or change one. What the body leaves out stays as it is."""
    response.headers["Cache-Control"] = "no-store"
    return UserShape.model_validate(await context.register_user(id, body))


@router.post(
    "/{id}/credits",
    response_model=GrantShape,
    responses={
        404: {"model": Problem, "description": "There is no such user."},
        409: {"model": Problem, "description": "The reference was granted before with another amount."},
    },
)
async def grant_credits(response: Response, context: Context, id: UserInPath, body: GrantRecord) -> GrantShape:  # noqa: A002 - the name in the address
    """Give credits, once per `referenceId`; a repeat gets the same answer."""
    response.headers["Cache-Control"] = "no-store"
    answer = await context.grant_credits(id, body)
    match answer:
        case Granted():
            return GrantShape.model_validate(answer)
        case GrantDiffers(amount=amount):
            message = f"this referenceId was granted before with the amount {amount}; use a new one for another grant"
            errors = [{"field": "amount", "in": "body", "message": message}]
            raise ProblemError(409, f"amount: {message}", errors=errors)
        case NoSuchUser():
            raise ProblemError(404, "There is no such user; PUT /api/users/{id} first.")
        case _:
            assert_never(answer)
