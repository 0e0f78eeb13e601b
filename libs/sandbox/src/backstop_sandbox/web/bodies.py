"""Bodies of the control API: JSON in, problems out."""

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from backstop_sandbox.script import ScriptError
from backstop_sandbox.web.switches import SwitchError

Handler = Callable[[Request], Awaitable[Response]]


async def json_body(request: Request) -> Any:
    """The body's value. Raises SwitchError when it is no JSON."""
    try:
        return json.loads(await request.body())
    except ValueError as error:
        raise SwitchError(f"the body is not JSON: {error}") from error


def naming_the_field(handler: Handler) -> Handler:
    """The handler, with 422 for a body that cannot be used."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except (ScriptError, SwitchError) as error:
            return problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))

    return answer


def problem(status: HTTPStatus, detail: str) -> Response:
    body = {"title": status.phrase, "status": status.value, "detail": detail}
    return JSONResponse(body, status, media_type="application/problem+json")
