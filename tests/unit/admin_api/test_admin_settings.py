"""The admin-api does not start with a missing or short secret, and says how to make one."""

from __future__ import annotations

import pytest

from backstop_admin_api.settings import AdminApiSettings
from backstop_common.errors import ConfigurationError
from backstop_common.settings import load_settings
from tests.support.admin_api import admin_settings

SECRETS = ("CRON_SECRET", "ADMIN_TOKEN", "SESSION_SECRET")


@pytest.mark.parametrize("name", SECRETS)
def test_a_missing_secret_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for other in SECRETS:
        monkeypatch.setenv(other, "" if other == name else "x" * 32)
    with pytest.raises(ConfigurationError, match=f"^{name} is not set; .*openssl rand -hex 32"):
        load_settings(AdminApiSettings)


@pytest.mark.parametrize("name", SECRETS)
def test_a_short_secret_is_named_and_not_shown(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} is wrong: .*32.*openssl rand -hex 32") as caught:
        admin_settings(**{name: "tooshortbutsecret"})
    assert "tooshort" not in str(caught.value)


def test_secrets_are_measured_in_bytes() -> None:
    assert admin_settings(ADMIN_TOKEN="ü" * 16).admin_token.get_secret_value() == "ü" * 16


def test_an_empty_brand_name_is_the_default() -> None:
    assert admin_settings().brand_name == "Backstop"
