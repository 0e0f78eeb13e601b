"""What docs/webhooks.md says about providers is true."""

from __future__ import annotations

import re

import pytest

from backstop_admin_api.entrypoints.webhook_routes import _RESULTS
from backstop_common.providers.catalogue import load_catalogue
from tests.support.source_tree import ROOT

PAGE = (ROOT / "docs/webhooks.md").read_text()
CATALOGUE = load_catalogue(providers_file=None, environ={})
WITH_WEBHOOKS = [name for name in CATALOGUE.names if CATALOGUE.get(name).webhook is not None]
SIGNATURES = {
    "standard_webhooks": "Standard Webhooks",
    "fal_ed25519_jwks": "Ed25519",
    "hmac": "HMAC",
    "none": "nothing",
}


@pytest.mark.parametrize("name", WITH_WEBHOOKS)
def test_the_page_says_how_each_provider_signs_and_with_which_variable(name: str) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith("| `") and f"`{name}`" in line.split("|")[1]]
    webhook = CATALOGUE.get(name).webhook
    assert webhook is not None
    assert SIGNATURES[webhook.verify.kind] in row.split("|")[2]
    assert all(f"`{variable}`" in row for variable in webhook.missing_secrets)


def test_the_page_names_every_result_that_is_counted() -> None:
    named = set(re.findall(r"`([a-z_]+)`", PAGE.split("`backstop_webhooks_total")[1]))
    assert {*_RESULTS.values(), "too_large"} <= named
