"""Who may register and read tasks: an API key with the scope, or the admin token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from backstop_admin_api.entrypoints.context import Context
from backstop_admin_api.entrypoints.problems import ProblemError
from backstop_admin_api.entrypoints.secrets import bearer_of
from backstop_admin_api.entrypoints.shapes import Problem

_CHALLENGE = {"WWW-Authenticate": "Bearer"}
_SCHEME = HTTPBearer(
    auto_error=False, scheme_name="apiKey", description="A key from `backstop create-key`, or the ADMIN_TOKEN."
)

KEY_REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem},
    403: {"model": Problem, "description": "The key has not the scope."},
    422: {"model": Problem},
}


def require_scope(scope: str) -> list[Any]:
    """Dependencies of a route that needs this scope. A key is looked up whether or not the admin token was sent."""

    async def check(request: Request, context: Context) -> None:
        presented = bearer_of(request)
        if presented is None:
            detail = "Send Authorization: Bearer with an API key; `backstop create-key NAME` makes one."
            raise ProblemError(401, detail, headers=_CHALLENGE)
        key = await context.recognise_key(presented)
        if context.admin_token.matches(presented):
            return
        if key is None:
            raise ProblemError(401, "This API key is unknown or was revoked.", headers=_CHALLENGE)
        if scope not in key.scopes:
            raise ProblemError(403, f"This API key has not the scope {scope}; make one that has it.")

    checked: Callable[[Request, Context], Awaitable[None]] = check
    return [Depends(_SCHEME), Depends(checked)]
