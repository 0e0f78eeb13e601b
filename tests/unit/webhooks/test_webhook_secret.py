"""The secret of the tasks' own addresses: optional, never short, never told."""

from __future__ import annotations

from uuid import UUID

import pytest
from pydantic import SecretStr

from backstop_admin_api.application.webhook_addresses import WebhookAddresses
from backstop_common.errors import ConfigurationError
from backstop_common.providers.catalogue import load_catalogue
from tests.support.admin_api import admin_settings

SECRET = "a-secret-of-the-tests-0123456789abcdef"
TASK = UUID("7b0c9a52-7f0e-4c55-8a1d-0b2f5a7c9d11")


def addresses(secret: str | None) -> WebhookAddresses:
    catalogue = load_catalogue(providers_file=None, environ={})
    return WebhookAddresses.of(catalogue, "https://b.example", None if secret is None else SecretStr(secret))


def test_it_may_be_left_out() -> None:
    assert admin_settings().webhook_secret is None


def test_a_short_one_stops_the_start_without_telling_it() -> None:
    with pytest.raises(ConfigurationError, match="BACKSTOP_WEBHOOK_SECRET is wrong: it has 31 bytes") as caught:
        admin_settings(BACKSTOP_WEBHOOK_SECRET="s" * 31)
    assert "sss" not in str(caught.value)


def test_no_repr_tells_the_key() -> None:
    key = addresses(SECRET).key
    assert key is not None
    assert repr(key) not in repr(addresses(SECRET))
    assert SECRET.encode() not in key


def test_an_address_leads_back_to_its_task() -> None:
    url = addresses(SECRET).address("ark", TASK)
    assert url is not None
    assert url.startswith("https://b.example/webhooks/ark/")
    assert addresses(SECRET).task_of("ark", url.rsplit("/", 1)[1]) == TASK


def test_without_a_secret_there_is_neither_way() -> None:
    assert addresses(None).address("ark", TASK) is None
    assert addresses(None).task_of("ark", "A" * 43) is None


@pytest.mark.parametrize("token", ["", "é", "A", "A" * 43, "=" * 43, "\x00", "\ud800"])
def test_other_texts_lead_nowhere(token: str) -> None:
    assert addresses(SECRET).task_of("ark", token) is None
