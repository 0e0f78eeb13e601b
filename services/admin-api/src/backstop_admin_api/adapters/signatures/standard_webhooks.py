"""Standard Webhooks (https://www.standardwebhooks.com): Replicate, OpenAI, Gemini.

HMAC-SHA256 over `id.timestamp.body`; the header carries one `v1,BASE64` or several with blanks between, because the
sender signs with both secrets while one replaces the other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

from backstop_admin_api.adapters.signatures.moments import problem_with
from backstop_admin_api.application.webhook_outcomes import Evidence, Forged, Genuine
from backstop_common.providers.specification import StandardWebhooksVerify

_VERSION = b"v1,"
_MOST_SIGNATURES = 16


def judge(verify: StandardWebhooksVerify, keys: Sequence[bytes], evidence: Evidence) -> Genuine | Forged:
    """Whether one of the signatures was made with one of the keys."""
    headers = evidence.webhook.headers
    identity, moment, signatures = (headers.get(f"webhook-{name}") for name in ("id", "timestamp", "signature"))
    if not identity or moment is None or signatures is None:
        return Forged("the headers webhook-id, webhook-timestamp and webhook-signature are not all there")
    problem = problem_with(moment, "webhook-timestamp", now=evidence.now, tolerance_seconds=verify.tolerance)
    if problem is not None:
        return Forged(problem)
    given = [part.removeprefix(_VERSION) for part in signatures.split(b" ") if part.startswith(_VERSION)]
    message = identity + b"." + moment + b"." + evidence.webhook.body
    for key in keys:
        expected = base64.b64encode(hmac.digest(key, message, hashlib.sha256))
        if any(hmac.compare_digest(expected, signature) for signature in given[:_MOST_SIGNATURES]):
            return Genuine(delivery=identity.decode("latin-1"))
    return Forged("no signature in webhook-signature is right")
