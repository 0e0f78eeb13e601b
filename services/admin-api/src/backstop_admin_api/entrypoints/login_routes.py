"""Logging in with the admin token, and out again."""

from __future__ import annotations

import math
from typing import Annotated
from urllib.parse import urlsplit

import structlog
from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from backstop_admin_api.entrypoints.authentication import CurrentSession
from backstop_admin_api.entrypoints.context import AdminApi, Context
from backstop_admin_api.entrypoints.same_origin import require_same_origin

_log = structlog.get_logger(__name__)

HOME = "/admin/cron-jobs"

router = APIRouter(prefix="/admin", include_in_schema=False)

Next = Annotated[str, Query(alias="next", max_length=2000)]
NextField = Annotated[str, Form(alias="next", max_length=2000)]
TokenField = Annotated[str, Form(max_length=1000)]


def safe_next(address: str) -> str:
    """Where to go after the login: one of our own pages, whatever the address says."""
    parts = urlsplit(address)
    ours = not parts.scheme and not parts.netloc and parts.path.startswith("/admin/")
    plain = address.isprintable() and "\\" not in address and not address.startswith("//")
    return address if ours and plain and not parts.path.startswith("/admin/log") else HOME


@router.get("/login")
async def show_login(request: Request, context: Context, wanted: Next = HOME) -> Response:
    """The form; whoever is logged in already goes on."""
    if context.sessions.of(request) is not None:
        return RedirectResponse(safe_next(wanted), status_code=303)
    return _form(context, wanted)


@router.post("/login")
async def log_in(request: Request, context: Context, token: TokenField = "", wanted: NextField = HOME) -> Response:
    """Begin a session, or say what was wrong."""
    require_same_origin(request, context.pages.app_base_url)
    address = request.client.host if request.client else ""
    wait_seconds = math.ceil(context.login_throttle.wait_seconds(address))
    if wait_seconds > 0:
        message = f"Too many wrong tokens from your address. Try again in {wait_seconds} seconds."
        response = _form(context, wanted, status=429, message=message)
        response.headers["Retry-After"] = str(wait_seconds)
        return response
    if not context.admin_token.matches(token.strip().encode("utf-8", "replace")):
        context.login_throttle.failed(address)
        _log.warning("login_failed")
        message = "That is not the admin token. It is the value of ADMIN_TOKEN in the configuration of this service."
        return _form(context, wanted, status=401, message=message)
    context.login_throttle.succeeded(address)
    _log.info("logged_in")
    response = RedirectResponse(safe_next(wanted), status_code=303)
    context.sessions.begin(response)
    return response


@router.post("/logout")
async def log_out(context: Context, _: CurrentSession) -> Response:
    """End the session of this browser."""
    response = RedirectResponse("/admin/login", status_code=303)
    context.sessions.end(response)
    return response


def _form(context: AdminApi, wanted: str, *, status: int = 200, message: str | None = None) -> Response:
    return context.pages.page("login.html", status=status, next=safe_next(wanted), message=message, session=None)
