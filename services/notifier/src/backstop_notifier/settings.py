"""What the notifier reads from the environment. Addresses of chats and the mail server carry secrets."""

from __future__ import annotations

from email.headerregistry import Address
from typing import Annotated, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from backstop_common.errors import ConfigurationError
from backstop_common.settings import HttpUrlText, PortNumber, SharedSettings
from backstop_notifier.adapters.smtp_mailer import SmtpAddress
from backstop_notifier.domain.wording import one_line

_SMTP_REMEDY = "write it as smtp://USER:PASSWORD@HOST:587?starttls=true or smtps://USER:PASSWORD@HOST:465"
_SWITCH = {"true": True, "false": False}


def parse_smtp_url(text: str) -> SmtpAddress:
    """The parts of `SMTP_URL`. Without `starttls`, the connection is upgraded when the server offers it.

    Raises:
        ValueError: the sentence tells the remedy and never the value.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
        query = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query), keep_blank_values=True))
    except ValueError:
        raise ValueError(f"it cannot be read; {_SMTP_REMEDY}") from None
    if parts.scheme not in {"smtp", "smtps"} or not host or parts.path not in {"", "/"}:
        raise ValueError(f"it is no address of a mail server; {_SMTP_REMEDY}")
    starttls = query.pop("starttls", None)
    if query or (starttls is not None and starttls not in _SWITCH):
        raise ValueError(f"after the question mark only starttls=true or starttls=false can stand; {_SMTP_REMEDY}")
    tls = parts.scheme == "smtps"
    if tls and starttls == "true":
        raise ValueError("smtps:// is encrypted from the start: leave starttls=true out, or use smtp://")
    return SmtpAddress(
        host=host,
        port=port or (465 if tls else 587 if starttls == "true" else 25),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password or "") if parts.username else None,
        tls=tls,
        starttls=False if tls else _SWITCH.get(starttls or ""),
    )


def parse_mailbox(text: str) -> Address:
    """`no-reply@example.com` or `Name <no-reply@example.com>`.

    Raises:
        ValueError: it is neither.
    """
    name, angle, rest = text.strip().rpartition("<")
    bare = rest.removesuffix(">") if angle else text.strip()
    try:
        address = Address(display_name=name.strip().strip('"'), addr_spec=bare.strip())
    except (ValueError, IndexError, LookupError):
        address = Address()
    if (
        not address.username
        or not address.domain
        or one_line(text) != text.strip()
        or (angle and not rest.endswith(">"))
    ):
        raise ValueError("write it as NAME@HOST or as Brand <NAME@HOST>")
    return address


def _smtp_url(value: SecretStr) -> SecretStr:
    parse_smtp_url(value.get_secret_value())
    return value


def _mailbox(value: str) -> str:
    parse_mailbox(value)
    return value


def _bare_mailbox(value: str) -> str:
    return parse_mailbox(value).addr_spec


def _brand(value: str) -> str:
    if not value.strip() or one_line(value) != value.strip():
        raise ValueError("write the name of your product on one line")
    return value.strip()


class NotifierSettings(SharedSettings):
    """Everything has a default that runs; without a mail server or a chat nothing is sent there."""

    port: PortNumber = Field(default=9103, alias="BACKSTOP_NOTIFIER_PORT")
    smtp_url: Annotated[SecretStr, AfterValidator(_smtp_url)] | None = Field(default=None, alias="SMTP_URL")
    email_from: Annotated[str, AfterValidator(_mailbox)] | None = Field(default=None, alias="EMAIL_FROM")
    brand_name: Annotated[str, AfterValidator(_brand)] = Field(default="Backstop", alias="BRAND_NAME", max_length=60)
    support_email: Annotated[str, AfterValidator(_bare_mailbox)] | None = Field(
        default=None, alias="BACKSTOP_SUPPORT_EMAIL"
    )
    assets_library_url: HttpUrlText | None = Field(default=None, alias="BACKSTOP_ASSETS_LIBRARY_URL")
    dashboard_url: HttpUrlText | None = Field(default=None, alias="BACKSTOP_DASHBOARD_URL")
    slack_webhook_url: SecretStr | None = Field(default=None, alias="SLACK_WEBHOOK_URL")
    discord_webhook_url: SecretStr | None = Field(default=None, alias="DISCORD_WEBHOOK_URL")
    delivery_lease_seconds: float = Field(default=120, alias="BACKSTOP_DELIVERY_LEASE_SECONDS", ge=5, le=3600)
    """Longer than any single attempt (a sender ends within a minute), or a mail under way counts as doubtful."""
    allow_private_hosts: str = Field(default="", alias="ALLOW_PRIVATE_HOSTS")

    @model_validator(mode="after")
    def _webhooks_are_encrypted(self) -> Self:
        allowed = {entry.strip().lower() for entry in self.allow_private_hosts.split(",")}
        check_webhook("SLACK_WEBHOOK_URL", self.slack_webhook_url, allowed)
        check_webhook("DISCORD_WEBHOOK_URL", self.discord_webhook_url, allowed)
        return self

    @property
    def library_url(self) -> str:
        """Where users find their assets."""
        return self.assets_library_url or f"{self.app_base_url}/assets"

    @property
    def sender(self) -> Address:
        """Who mails come from; a bare address gets the brand's name, none is made of the app's own host."""
        host = urlsplit(self.app_base_url).hostname or "localhost"
        is_domain = "." in host and not host.replace(".", "").isdigit() and ":" not in host
        address = parse_mailbox(self.email_from or f"no-reply@{host if is_domain else 'localhost'}")
        if address.display_name:
            return address
        return Address(self.brand_name, address.username, address.domain)


def check_webhook(setting: str, value: SecretStr | None, allowed: set[str]) -> None:
    """A webhook's address is https; http only reaches what `ALLOW_PRIVATE_HOSTS` lists.

    Raises:
        ConfigurationError: it is not. The sentence names the setting, never the address: it is a password.
    """
    if value is None:
        return
    try:
        parts = urlsplit(value.get_secret_value())
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in {"http", "https"} or not host:
        raise ConfigurationError(f"{setting} is wrong: it is no web address; copy it whole, https://... and all")
    if parts.scheme == "http" and f"{host}:{port or 80}" not in allowed:
        raise ConfigurationError(
            f"{setting} is wrong: it starts with http://, so anybody on the way could read it; use https://,"
            " or for a test server list its HOST:PORT in ALLOW_PRIVATE_HOSTS"
        )
