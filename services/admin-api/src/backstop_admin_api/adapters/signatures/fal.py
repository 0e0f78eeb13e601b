"""fal's webhooks: Ed25519 over request id, user id, moment and the body's SHA-256, against the keys fal publishes.

https://fal.ai/docs/model-endpoints/webhooks; no key is named, so each published one may be the right one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from backstop_admin_api.adapters.signatures.moments import problem_with
from backstop_admin_api.application.webhook_outcomes import Evidence, Forged, Genuine, PublicKey
from backstop_common.providers.specification import FalVerify

_PREFIX = "x-fal-webhook-"
_HEX = re.compile(rb"[0-9a-fA-F]{128}")


def judge(verify: FalVerify, evidence: Evidence) -> Genuine | Forged:
    """Whether one of the published keys made the signature."""
    headers = evidence.webhook.headers
    request, user, moment, signature = (
        headers.get(_PREFIX + name) for name in ("request-id", "user-id", "timestamp", "signature")
    )
    if not request or user is None or moment is None or signature is None:
        return Forged(f"the headers {_PREFIX}request-id, -user-id, -timestamp and -signature are not all there")
    problem = problem_with(moment, f"{_PREFIX}timestamp", now=evidence.now, tolerance_seconds=verify.tolerance)
    if problem is not None:
        return Forged(problem)
    if not _HEX.fullmatch(signature):
        return Forged(f"the header {_PREFIX}signature is no signature")
    digest = hashlib.sha256(evidence.webhook.body).hexdigest().encode()
    message = b"\n".join((request, user, moment, digest))
    made = bytes.fromhex(signature.decode("ascii"))
    if any(_made_by(key, made, message) for key in evidence.public_keys):
        return Genuine()
    return Forged("none of fal's keys made this signature")


def _made_by(key: PublicKey, signature: bytes, message: bytes) -> bool:
    encoded = key.jwk.get("x", "")
    try:
        public = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
