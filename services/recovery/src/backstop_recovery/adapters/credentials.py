"""A provider's key as headers or query parameters, made anew for each request, and who may see it.

`may_see_credentials` is asked before every request, poll or download, so that an address taken from a body or from a
redirect never receives a key that was not meant for it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from yarl import URL

from backstop_common.providers.compiled import CompiledAuth, CompiledProvider
from backstop_recovery.adapters.addresses import AllowedHosts, host_matches, normal_host


@dataclass(frozen=True, slots=True)
class Credentials:
    """What to add to a request."""

    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)

    def apply(self, url: URL) -> URL:
        """The address with the key, when the provider wants it there."""
        return url.update_query(self.query) if self.query else url


def credentials_of(auth: CompiledAuth, now: datetime) -> Credentials:
    """The credentials of one request."""
    plain = {name: secret.get_secret_value() for name, secret in auth.secrets.items()}
    match auth.kind:
        case "bearer":
            return Credentials(headers={"Authorization": f"Bearer {plain['token']}"})
        case "header":
            return Credentials(headers={auth.name: plain["value"]})
        case "query":
            return Credentials(query={auth.name: plain["value"]})
        case "jwt_hs256":
            token = sign_jwt(plain["key_id"], plain["secret"], auth.ttl_seconds, auth.nbf_skew_seconds, now)
            return Credentials(headers={"Authorization": f"Bearer {token}"})
        case _:
            return Credentials()


def sign_jwt(key_id: str, secret: str, ttl_seconds: float, skew_seconds: float, now: datetime) -> str:
    """A JWT (RFC 7519) signed with HMAC-SHA256: issuer, expiry and not-before, as Kling documents it."""
    moment = int(now.timestamp())
    claims = {"iss": key_id, "exp": moment + int(ttl_seconds), "nbf": moment - int(skew_seconds)}
    signed = f"{_encoded({'alg': 'HS256', 'typ': 'JWT'})}.{_encoded(claims)}"
    signature = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_base64url(signature)}"


def _encoded(value: dict[str, Any]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def same_origin(left: URL, right: URL) -> bool:
    """Whether scheme, host and port agree."""
    return (left.scheme, normal_host(left.host or ""), left.port) == (
        right.scheme,
        normal_host(right.host or ""),
        right.port,
    )


def may_see_credentials(provider: CompiledProvider, url: URL, hosts: tuple[str, ...], allowed: AllowedHosts) -> bool:
    """Whether a request to `url` may carry the provider's key: its own origin, or one of `hosts` over TLS.

    Hosts the operator allowed although they are private (tests, a sandbox) may be called without TLS.
    """
    host, port = url.host or "", url.port or 0
    if same_origin(url, URL(provider.base_url, encoded=True)):
        return True
    return host_matches(host, port, hosts) and (url.scheme == "https" or allowed.admits(host, port))
