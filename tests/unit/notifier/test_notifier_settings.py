"""A wrong setting stops the start with one sentence that names it and the remedy, never the secret."""

from __future__ import annotations

import pytest

from backstop_common.errors import ConfigurationError
from backstop_common.settings import load_settings
from backstop_notifier.adapters.smtp_mailer import SmtpAddress
from backstop_notifier.settings import NotifierSettings, parse_smtp_url

NAMES = (
    "SMTP_URL", "EMAIL_FROM", "BRAND_NAME", "SLACK_WEBHOOK_URL", "DISCORD_WEBHOOK_URL", "ALLOW_PRIVATE_HOSTS",
    "APP_BASE_URL", "BACKSTOP_SUPPORT_EMAIL", "BACKSTOP_ASSETS_LIBRARY_URL", "BACKSTOP_DASHBOARD_URL",
    "BACKSTOP_NOTIFIER_PORT",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_every_default_runs() -> None:
    settings = load_settings(NotifierSettings)
    assert (settings.port, settings.brand_name) == (9103, "Backstop")
    assert settings.library_url == "http://127.0.0.1:8080/assets"
    assert str(settings.sender) == "Backstop <no-reply@localhost>"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("smtp://127.0.0.1:8025", SmtpAddress("127.0.0.1", 8025)),
        ("smtp://host", SmtpAddress("host", 25)),
        ("smtp://host?starttls=true", SmtpAddress("host", 587, starttls=True)),
        ("smtp://host:2525/?starttls=false", SmtpAddress("host", 2525, starttls=False)),
        ("smtps://u%40x:p%2F%3A@host", SmtpAddress("host", 465, "u@x", "p/:", tls=True, starttls=False)),
    ],
)
def test_mail_servers_as_they_are_written(url: str, address: SmtpAddress) -> None:
    assert parse_smtp_url(url) == address


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMTP_URL", "host:587/s3cret"),
        ("SMTP_URL", "http://u:s3cret@host"),
        ("SMTP_URL", "smtp://u:s3cret@host:99999"),
        ("SMTP_URL", "smtp://u:s3cret@host?tls=yes"),
        ("SMTP_URL", "smtps://u:s3cret@host?starttls=true"),
        ("SMTP_URL", "smtp://u:s3cret@"),
        ("EMAIL_FROM", "nobody"),
        ("EMAIL_FROM", "Viecom <no-reply@viecom.pro"),
        ("EMAIL_FROM", "a@b.c\r\nBcc: d@e.f"),
        ("BRAND_NAME", "two\nlines"),
        ("BACKSTOP_SUPPORT_EMAIL", "viecom.pro"),
        ("BACKSTOP_ASSETS_LIBRARY_URL", "assets"),
        ("BACKSTOP_DASHBOARD_URL", "ftp://x"),
        ("BACKSTOP_NOTIFIER_PORT", "70000"),
        ("SLACK_WEBHOOK_URL", "hooks.slack.com/s3cret"),
        ("SLACK_WEBHOOK_URL", "http://hooks.slack.com/s3cret"),
        ("DISCORD_WEBHOOK_URL", "http://127.0.0.1:8090/s3cret"),
    ],
)
def test_a_wrong_value_is_named_and_never_shown(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_settings(NotifierSettings, **{name: value})
    assert str(raised.value).startswith(name)
    assert "s3cret" not in str(raised.value)


def test_a_listed_test_server_may_be_reached_without_encryption() -> None:
    settings = load_settings(
        NotifierSettings, SLACK_WEBHOOK_URL="http://127.0.0.1:8090/x", ALLOW_PRIVATE_HOSTS="other:1, 127.0.0.1:8090"
    )
    assert settings.slack_webhook_url is not None


def test_the_sender_gets_the_brands_name_unless_it_has_one() -> None:
    bare = load_settings(NotifierSettings, EMAIL_FROM="hi@viecom.pro", BRAND_NAME="Viecom")
    named = load_settings(NotifierSettings, EMAIL_FROM='"Viecom, Inc." <hi@viecom.pro>')
    guessed = load_settings(NotifierSettings, APP_BASE_URL="https://www.viecom.pro")
    assert str(bare.sender) == "Viecom <hi@viecom.pro>"
    assert named.sender.display_name == "Viecom, Inc."
    assert guessed.sender.addr_spec == "no-reply@www.viecom.pro"
