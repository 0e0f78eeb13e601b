"""Who is logged in: a signed cookie, no table.

The signature depends on the admin token too, so a new token ends every session. A session ends with its age; logging
out removes the cookie from the browser, and a copy of it stays good until then.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from itsdangerous import BadData, URLSafeTimedSerializer
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that presented the admin token; `csrf_token` is what its forms have to carry."""

    id: str
    csrf_token: str


@dataclass(frozen=True, slots=True)
class Sessions:
    """Makes and reads the session cookie. On https it is `Secure` and bound to the host by its `__Host-` prefix."""

    secret: SecretStr
    admin_token: SecretStr
    lifetime_seconds: int
    is_https: bool

    @property
    def cookie_name(self) -> str:
        """The name of the cookie."""
        return "__Host-backstop-session" if self.is_https else "backstop-session"

    def begin(self, response: Response) -> None:
        """Log the receiver of this response in."""
        response.set_cookie(
            self.cookie_name,
            self._serializer().dumps(secrets.token_hex(16)),
            max_age=self.lifetime_seconds,
            path="/",
            secure=self.is_https,
            httponly=True,
            samesite="lax",
        )

    def end(self, response: Response) -> None:
        """Log the receiver of this response out."""
        response.delete_cookie(self.cookie_name, path="/", secure=self.is_https, httponly=True, samesite="lax")

    def of(self, request: Request) -> Session | None:
        """The session of a request; None when there is none, or it is too old or forged."""
        cookie = request.cookies.get(self.cookie_name)
        if cookie is None:
            return None
        try:
            session_id = str(self._serializer().loads(cookie, max_age=self.lifetime_seconds))
        except BadData:
            return None
        return Session(session_id, self._csrf_token(session_id))

    def _serializer(self) -> URLSafeTimedSerializer:
        token_digest = hashlib.sha256(self.admin_token.get_secret_value().encode()).hexdigest()
        return URLSafeTimedSerializer(self.secret.get_secret_value(), salt=f"backstop-session:{token_digest}")

    def _csrf_token(self, session_id: str) -> str:
        key = self.secret.get_secret_value().encode()
        return hmac.new(key, f"csrf:{session_id}".encode(), hashlib.sha256).hexdigest()
