"""Who may call what: the cron secret, the admin token, or the session of a browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Request

from backstop_admin_api.entrypoints.context import Context
from backstop_admin_api.entrypoints.problems import ProblemError
from backstop_admin_api.entrypoints.same_origin import require_csrf_token, require_same_origin
from backstop_admin_api.entrypoints.secrets import bearer_of
from backstop_admin_api.entrypoints.sessions import Session

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


class LoginRequiredError(Exception):
    """A person without a session asked for a page."""


@dataclass(frozen=True, slots=True)
class Admin:
    """Somebody who holds the admin token, and by which way in."""

    actor: str
    via: Literal["page", "api"]


async def require_cron_secret(request: Request, context: Context) -> None:
    """The caller is the cron.

    Raises:
        ProblemError: 401.
    """
    if not context.cron_secret.opens(request):
        raise ProblemError(401, "Send Authorization: Bearer with the CRON_SECRET.", headers=_CHALLENGE)


async def require_admin(request: Request, context: Context) -> Admin:
    """The caller holds the admin token, or a session and the token of its forms.

    Raises:
        ProblemError: 401 or 403.
    """
    if bearer_of(request) is not None:
        if context.admin_token.opens(request):
            return Admin("admin", "api")
        raise ProblemError(401, "The bearer token is not the ADMIN_TOKEN.", headers=_CHALLENGE)
    session = context.sessions.of(request)
    if session is None:
        detail = "Log in at /admin/login, or send Authorization: Bearer with the ADMIN_TOKEN."
        raise ProblemError(401, detail, headers=_CHALLENGE)
    await _require_own_page(request, context, session)
    return Admin("admin", "page")


async def require_session(request: Request, context: Context) -> Session:
    """The caller is a logged-in browser.

    Raises:
        LoginRequiredError: it is not.
        ProblemError: 403.
    """
    session = context.sessions.of(request)
    if session is None:
        raise LoginRequiredError
    await _require_own_page(request, context, session)
    return session


async def _require_own_page(request: Request, context: Context, session: Session) -> None:
    if request.method not in _SAFE_METHODS:
        require_same_origin(request, context.pages.app_base_url)
        await require_csrf_token(request, session)


CurrentAdmin = Annotated[Admin, Depends(require_admin)]
CurrentSession = Annotated[Session, Depends(require_session)]
