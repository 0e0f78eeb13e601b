"""Which kind of signature is judged by which module."""

from __future__ import annotations

from typing import assert_never

from backstop_admin_api.adapters.signatures import fal, jwt_rs256, keyed_hash, standard_webhooks
from backstop_admin_api.application.webhook_outcomes import Evidence, Forged, Genuine
from backstop_common.providers import specification as spec
from backstop_common.providers.compiled import CompiledWebhook


def judge(webhook: CompiledWebhook, evidence: Evidence) -> Genuine | Forged:
    """What the signature of a webhook is worth."""
    match webhook.verify:
        case spec.StandardWebhooksVerify() as verify:
            return standard_webhooks.judge(verify, webhook.keys, evidence)
        case spec.HmacVerify() as verify:
            return keyed_hash.judge(verify, webhook, evidence)
        case spec.FalVerify() as verify:
            return fal.judge(verify, evidence)
        case spec.JwtJwksVerify() as verify:
            return jwt_rs256.judge(verify, evidence)
        case spec.NoVerify():
            return Forged("this provider signs nothing")
        case _:
            assert_never(webhook.verify)
