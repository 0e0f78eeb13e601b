"""Requests that change something and carry a cookie have to come from our own pages.

Browsers say where a request comes from (`Sec-Fetch-Site`, `Origin`) and cannot be talked out of it by a page. A
caller that says nothing is no browser; it still needs the token of the session.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from starlette.requests import Request

from backstop_admin_api.entrypoints.problems import ProblemError
from backstop_admin_api.entrypoints.sessions import Session

CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf_token"


def require_same_origin(request: Request, app_base_url: str) -> None:
    """Refuse what a foreign page sent.

    Raises:
        ProblemError: 403.
    """
    site = request.headers.get("sec-fetch-site", "none")
    origin = request.headers.get("origin")
    ours = {request.headers.get("host", ""), urlsplit(app_base_url).netloc}
    if site not in {"same-origin", "none"} or (origin is not None and urlsplit(origin).netloc not in ours):
        raise ProblemError(403, "This request came from another site. Open the page itself and try again.")


async def require_csrf_token(request: Request, session: Session) -> None:
    """Refuse what does not carry the session's token, in a header or in the form.

    Raises:
        ProblemError: 403.
    """
    presented = request.headers.get(CSRF_HEADER)
    if presented is None and request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        presented = str((await request.form()).get(CSRF_FIELD, ""))
    if not hmac.compare_digest((presented or "").encode(), session.csrf_token.encode()):
        raise ProblemError(403, "The form is not of this session. Reload the page and try again.")
