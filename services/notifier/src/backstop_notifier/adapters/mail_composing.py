"""From a letter to the bytes on the wire: HTML from a template, plain text, headers that nobody can inject into.

The HTML template is compiled from `templates/letter.mjml`; a test compiles it again and compares.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import policy
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from backstop_common.errors import PermanentError
from backstop_notifier.application.ports import ClaimedDelivery
from backstop_notifier.domain.completion_letter import completion_letter
from backstop_notifier.domain.delivery import Kind
from backstop_notifier.domain.facts import CompletedFacts, FailedFacts
from backstop_notifier.domain.failure_letter import failure_letter
from backstop_notifier.domain.letter import Branding, Letter
from backstop_notifier.domain.letter_text import letter_text
from backstop_notifier.domain.wording import one_line


@dataclass(frozen=True, slots=True)
class ComposedMail:
    """What a mail server gets: the envelope and the content."""

    sender: str
    recipient: str
    content: bytes


def _template() -> Template:
    loader = PackageLoader("backstop_notifier.adapters", "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    return environment.get_template("letter.html")


@dataclass(frozen=True, slots=True)
class MailComposer:
    """Composes mails of one brand from one sender."""

    brand: Branding
    sender: Address
    template: Template = field(default_factory=_template)

    def compose(self, delivery: ClaimedDelivery) -> ComposedMail:
        """The mail of a delivery. Its Message-ID depends on the delivery only, so that a repeat is recognised.

        Raises:
            PermanentError: the payload or the recipient's address is malformed.
        """
        try:
            letter = self.letter_of(delivery)
            recipient = _recipient(delivery.recipient or "")
            content = self._message(delivery, letter, recipient).as_bytes()
        except (KeyError, TypeError, ValueError, IndexError, MessageError) as error:
            raise PermanentError(f"the mail cannot be composed: {type(error).__name__}") from error
        return ComposedMail(self.sender.addr_spec, recipient.addr_spec, content)

    def letter_of(self, delivery: ClaimedDelivery) -> Letter:
        """What the mail says.

        Raises:
            KeyError: the payload lacks a field.
        """
        if delivery.kind is Kind.TASK_COMPLETED:
            return completion_letter(CompletedFacts.from_payload(delivery.payload), self.brand)
        if delivery.kind is Kind.TASK_FAILED:
            return failure_letter(FailedFacts.from_payload(delivery.payload), self.brand)
        raise ValueError(f"{delivery.kind} is no mail")

    def html(self, letter: Letter) -> str:
        """The HTML part."""
        return self.template.render(letter=letter)

    def _message(self, delivery: ClaimedDelivery, letter: Letter, recipient: Address) -> EmailMessage:
        message = EmailMessage(policy=policy.SMTP if recipient.addr_spec.isascii() else policy.SMTPUTF8)
        name = one_line(str(delivery.payload.get("name") or ""))[:60]
        headers: dict[str, Any] = {
            "From": self.sender,
            "To": Address(name, recipient.username, recipient.domain),
            "Subject": letter.subject,
            "Date": format_datetime(datetime.now(UTC)),
            "Message-ID": f"<{delivery.id}@{self.sender.domain}>",
            "Auto-Submitted": "auto-generated",
        }
        if self.brand.support_email:
            headers["Reply-To"] = self.brand.support_email
        for header, value in headers.items():
            message[header] = value
        message.set_content(letter_text(letter), cte="quoted-printable")
        message.add_alternative(self.html(letter), subtype="html", cte="quoted-printable")
        return message


def _recipient(text: str) -> Address:
    """The address with its domain in ASCII, so that only a local part beyond ASCII asks much of the server."""
    address = Address(addr_spec=text)
    if not address.username or not address.domain:
        raise ValueError("it is no address")
    return Address("", address.username, address.domain.encode("idna").decode("ascii"))
