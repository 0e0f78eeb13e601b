"""An HMAC over a message that the specification puts together: KIE, BFL, and providers of your own."""

from __future__ import annotations

import base64
import hmac

from backstop_admin_api.adapters.signatures.moments import problem_with
from backstop_admin_api.application.webhook_outcomes import Evidence, Forged, Genuine
from backstop_common.providers.compiled import CompiledWebhook
from backstop_common.providers.specification import HmacVerify


def judge(verify: HmacVerify, webhook: CompiledWebhook, evidence: Evidence) -> Genuine | Forged:
    """Whether the header holds the hash made with one of the keys."""
    headers = evidence.webhook.headers
    given = headers.get(verify.header.lower())
    if given is None:
        return Forged(f"the header {verify.header} is missing")
    if verify.timestamp is not None:
        problem = problem_with(
            headers.get(verify.timestamp.lower()),
            verify.timestamp,
            now=evidence.now,
            tolerance_seconds=verify.tolerance,
        )
        if problem is not None:
            return Forged(problem)
    message = None
    if webhook.message is not None:
        message = webhook.message.of(body=evidence.webhook.body, task_id=evidence.task_id, headers=headers)
    if message is None:
        return Forged("a part of what is signed is not there")
    expected = [_text(verify, hmac.digest(key, message, verify.algo)) for key in webhook.keys]
    if any(hmac.compare_digest(text, given) for text in expected):
        return Genuine()
    return Forged(f"the signature in {verify.header} is not right")


def _text(verify: HmacVerify, digest: bytes) -> bytes:
    encoded = digest.hex().encode() if verify.encoding == "hex" else base64.b64encode(digest)
    return verify.prefix.encode() + encoded
