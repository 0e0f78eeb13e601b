"""A JWT in a header, signed with RS256 by a key that the provider publishes: Gemini's webhooks of single requests.

The token does not cover the body. What it says itself (its claims) is worth more and is handed on.
"""

from __future__ import annotations

from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from backstop_admin_api.application.webhook_outcomes import Evidence, Forged, Genuine
from backstop_common.providers.specification import JwtJwksVerify

_ALGORITHMS = ["RS256"]


def judge(verify: JwtJwksVerify, evidence: Evidence) -> Genuine | Forged:
    """Whether the token is one of the provider's, for us, and not over."""
    token = evidence.webhook.headers.get(verify.header.lower())
    if token is None:
        return Forged(f"the header {verify.header} is missing")
    try:
        key_id = jws.extract_compact(token).headers().get("kid")
        key = next((key for key in evidence.public_keys if key.key_id == key_id), None)
        if key is None:
            return Forged("the token names no key that the provider publishes")
        claims = jwt.decode(token, RSAKey.import_key(dict(key.jwk)), algorithms=_ALGORITHMS).claims
    except (JoseError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return Forged(f"the header {verify.header} holds no token of the provider's")
    problem = _problem_with(claims, verify, evidence.now)
    if problem is not None:
        return Forged(problem)
    delivery = claims.get("jti")
    return Genuine(delivery=delivery if isinstance(delivery, str) and delivery else None, claims=claims)


def _problem_with(claims: dict[str, Any], verify: JwtJwksVerify, now: float) -> str | None:
    issued, expires = _moment(claims, "iat"), _moment(claims, "exp")
    if issued is None and expires is None:
        return "the token says neither when it was made nor when it ends"
    # Written so that NaN is refused and numbers of any size are compared.
    if issued is not None and not now - verify.tolerance <= issued <= now + verify.tolerance:
        return f"the token was not made within {verify.tolerance:g} s of now"
    if expires is not None and not now <= expires:
        return "the token is over"
    if verify.audience is not None:
        audience = claims.get("aud")
        if verify.audience not in (audience if isinstance(audience, list) else [audience]):
            return "the token is meant for somebody else"
    return None


def _moment(claims: dict[str, Any], name: str) -> int | float | None:
    value = claims.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
