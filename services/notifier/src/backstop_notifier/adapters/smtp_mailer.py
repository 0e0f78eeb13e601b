"""Mails by SMTP: one connection per batch, each mail with its own answer.

What an answer means (RFC 5321, 4.2.1 and 4.5.3.2):
- the recipient or the content is refused with 5xx: never again, at once;
- 4xx, or no connection: later;
- the server refuses *us* (greeting, TLS, login, sender), with whatever code: later, because that is a setting somebody
  will mend, and no fault of the mail;
- the connection is lost while the content is on its way: nobody can know whether it arrived.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog
from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from backstop_common.errors import PermanentError
from backstop_notifier.adapters.mail_composing import ComposedMail, MailComposer
from backstop_notifier.application.ports import ClaimedDelivery, Sender
from backstop_notifier.domain.delivery import Accepted, Outcome, Postponed, Refused, Unseen
from backstop_notifier.domain.wording import fit, one_line

_log = structlog.get_logger(__name__)

_STEP_SECONDS = 15.0
_MAIL_SECONDS = 60.0
_PERMANENT_FROM = 500
_CLOSING = 421
_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class SmtpAddress:
    """A mail server. `starttls`: True = required, False = never, None = when the server offers it."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    starttls: bool | None = None


@dataclass(frozen=True, slots=True)
class SmtpOutlet:
    """The mail server as a channel."""

    address: SmtpAddress
    composer: MailComposer

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Sender]:
        """A sender that connects when the first mail needs it."""
        mailer = SmtpMailer(self.address, self.composer)
        try:
            yield mailer
        finally:
            await mailer.close()


@dataclass(slots=True)
class SmtpMailer:
    """One batch's connection. After a lost connection the next mail gets a new one."""

    address: SmtpAddress
    composer: MailComposer
    _client: SMTP | None = None

    async def send(self, delivery: ClaimedDelivery) -> Outcome:
        """Try one mail once."""
        try:
            mail = self.composer.compose(delivery)
        except PermanentError as error:
            return Refused(str(error))
        handing_over = False
        try:
            async with asyncio.timeout(_MAIL_SECONDS):
                client = await self._connected()
                refusal = await _announce(client, mail)
                if refusal is not None:
                    return refusal
                handing_over = True
                await client.data(mail.content)
        except SMTPDataError as error:
            return await self._after_refusal(error)
        except (SMTPException, OSError, TimeoutError) as error:
            self._drop()
            return Unseen(_reason(error)) if handing_over else Postponed(_reason(error), everyone=True)
        return Accepted()

    async def close(self) -> None:
        """Say goodbye, when there is somebody to say it to."""
        client, self._client = self._client, None
        if client is None or not client.is_connected:
            return
        try:
            await client.quit(timeout=2)
        except (SMTPException, OSError, TimeoutError) as error:
            _log.debug("smtp_quit_unanswered", reason=type(error).__name__)
        finally:
            client.close()

    async def _connected(self) -> SMTP:
        if self._client is not None and self._client.is_connected:
            return self._client
        client = SMTP(
            hostname=self.address.host,
            port=self.address.port,
            username=self.address.username,
            password=self.address.password,
            use_tls=self.address.tls,
            start_tls=self.address.starttls,
            timeout=_STEP_SECONDS,
            local_hostname=self.composer.sender.domain.encode("idna").decode("ascii"),
        )
        await client.connect()
        self._client = client
        return client

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def _after_refusal(self, error: SMTPDataError) -> Outcome:
        if self._client is not None:
            await _reset(self._client)
        return outcome_of_refusal(error.code, error.message)


async def _announce(client: SMTP, mail: ComposedMail) -> Outcome | None:
    """Sender and recipient; None when the server is ready for the content.

    Raises:
        SMTPException: the server refuses us, or is gone.
    """
    international = not mail.recipient.isascii()
    options = ["SMTPUTF8", "BODY=8BITMIME"] if international else []
    if client.is_ehlo_or_helo_needed:
        await client.ehlo()
    if international and not client.supports_extension("smtputf8"):
        return Refused("the address needs SMTPUTF8, which the mail server does not offer")
    encoding = "utf-8" if international else "ascii"
    try:
        await client.mail(mail.sender, options=options, encoding=encoding)
        await client.rcpt(mail.recipient, encoding=encoding)
    except SMTPRecipientRefused as error:
        await _reset(client)
        return outcome_of_refusal(error.code, error.message)
    except ValueError as error:
        await _reset(client)
        return Refused(f"the address cannot be sent: {type(error).__name__}")
    return None


async def _reset(client: SMTP) -> None:
    """Forget the half-finished mail; a server that cannot is left, and the next mail gets a new connection."""
    try:
        await client.rset()
    except (SMTPException, OSError) as error:
        _log.debug("smtp_reset_failed", reason=type(error).__name__)
        client.close()


def outcome_of_refusal(code: int, text: str) -> Outcome:
    """What a refusal of a recipient or of the content means."""
    reason = fit(one_line(f"{code} {text}"), _LONGEST_REASON)
    if code >= _PERMANENT_FROM:
        return Refused(reason)
    return Postponed(reason, everyone=code == _CLOSING)


def _reason(error: BaseException) -> str:
    """What went wrong with the connection, never with credentials in it."""
    if isinstance(error, SMTPResponseException):
        return fit(one_line(f"the mail server refuses us: {error.code} {error.message}"), _LONGEST_REASON)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the mail server's certificate is not trusted: {error.verify_message}"
    if isinstance(error, SMTPTimeoutError | TimeoutError):
        return "the mail server did not answer in time"
    if isinstance(error, SMTPServerDisconnected):
        return "the mail server closed the connection"
    return fit(one_line(f"the mail server is not reachable: {error}"), _LONGEST_REASON)
