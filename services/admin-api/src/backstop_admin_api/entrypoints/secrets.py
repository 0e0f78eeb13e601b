"""Secrets that callers present, compared as bytes in constant time."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from fastapi import Request
from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class BearerSecret:
    """One secret that opens something."""

    secret: SecretStr

    def matches(self, presented: bytes) -> bool:
        """Whether these bytes are the secret."""
        return hmac.compare_digest(presented, self.secret.get_secret_value().encode())

    def opens(self, request: Request) -> bool:
        """Whether the request carries it as `Authorization: Bearer`."""
        presented = bearer_of(request)
        return presented is not None and self.matches(presented)


def bearer_of(request: Request) -> bytes | None:
    """The bytes behind `Bearer`, as they were sent (headers are latin-1 on the wire)."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip().encode("latin-1") if scheme.lower() == "bearer" else None
