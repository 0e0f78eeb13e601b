"""Everything that goes wrong, in one shape: `application/problem+json` (RFC 9457) for programs, a page for people.

A problem says what to do and never what the inside looks like: no traceback, no SQL, no value that was sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response

from backstop_common.errors import TransientError

_DETAILS = {
    404: "There is nothing at this address.",
    405: "This address does not take this method.",
    413: "The request is too large.",
    415: "Send the body as application/json.",
}
_RETRY_SECONDS = 5


class ProblemError(Exception):
    """Answer with this problem; `extra` are further members of the document."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.extra = extra


def _title(status: int) -> str:
    return HTTPStatus(status).phrase


def problem_document(problem: ProblemError) -> Response:
    """The document of a problem."""
    body = {"type": "about:blank", "title": _title(problem.status), "status": problem.status, "detail": problem.detail}
    return JSONResponse(
        {**body, **problem.extra},
        status_code=problem.status,
        headers={"Cache-Control": "no-store", **(problem.headers or {})},
        media_type="application/problem+json",
    )


def _answer(request: Request, problem: ProblemError) -> Response:
    path = request.url.path
    if path.startswith("/admin") and not path.startswith("/admin/fragments"):
        page: Response = request.app.state.admin_api.pages.problem(
            request, status=problem.status, title=_title(problem.status), detail=problem.detail
        )
        page.headers.update(problem.headers or {})
        return page
    return problem_document(problem)


def _invalid(error: RequestValidationError) -> ProblemError:
    errors = [
        {
            "field": _field(problem["loc"]),
            "in": str(problem["loc"][0]),
            "message": problem["msg"].removeprefix("Value error, "),
        }
        for problem in error.errors()
    ]
    return ProblemError(422, f"{errors[0]['field']}: {errors[0]['message']}", errors=errors)


def _field(location: Sequence[str | int]) -> str:
    """The path inside the body or the query; for a body that is no JSON, what the parser says of the place."""
    return ".".join(str(part) for part in location[1:]) or str(location[0])


def install_problems(app: FastAPI, *, login_required: type[Exception]) -> None:
    """Give every error of the application its shape."""

    @app.exception_handler(ProblemError)
    async def on_problem(request: Request, error: ProblemError) -> Response:
        return _answer(request, error)

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        detail = _DETAILS.get(error.status_code, str(error.detail))
        return _answer(request, ProblemError(error.status_code, detail, headers=error.headers))

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        return _answer(request, _invalid(error))

    @app.exception_handler(TransientError)
    async def on_transient(request: Request, _: TransientError) -> Response:
        detail = "The database did not answer. Nothing was changed; try again in a few seconds."
        return _answer(request, ProblemError(503, detail, headers={"Retry-After": str(_RETRY_SECONDS)}))

    @app.exception_handler(login_required)
    async def on_login_required(request: Request, _: Exception) -> Response:
        if request.url.path.startswith("/admin/fragments"):
            return problem_document(ProblemError(401, "The session is over. Reload the page to log in again."))
        wanted = request.url.path if request.method == "GET" else "/admin/cron-jobs"
        query = f"?{request.url.query}" if request.method == "GET" and request.url.query else ""
        return RedirectResponse(f"/admin/login?{urlencode({'next': wanted + query})}", status_code=303)

    @app.exception_handler(Exception)
    async def on_error(request: Request, _: Exception) -> Response:
        return _answer(request, ProblemError(500, "Something went wrong on our side. The log has the details."))
