"""The mailbox: every message the SMTP server took, parsed once, and the switches that make it refuse some.

A message that cannot be parsed as mail is kept all the same, with its raw bytes.
"""

import email
import email.message
import email.policy
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

EVERYBODY = "*"


@dataclass(frozen=True, slots=True)
class Mail:
    """One message as it arrived; `number` counts from 1."""

    number: int
    received_at: datetime
    envelope_from: str
    envelope_to: tuple[str, ...]
    raw: bytes
    subject: str
    sender: str
    to: str
    date: str
    message_id: str
    headers: tuple[tuple[str, str], ...]
    html: str | None
    text: str | None

    def summary(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "received_at": self.received_at.isoformat(),
            "envelope": {"from": self.envelope_from, "to": list(self.envelope_to)},
            "subject": self.subject,
            "from": self.sender,
            "to": self.to,
            "date": self.date,
            "message_id": self.message_id,
            "size": len(self.raw),
        }

    def as_json(self) -> dict[str, Any]:
        content = {"headers": [list(pair) for pair in self.headers], "html": self.html, "text": self.text}
        return self.summary() | content | {"raw": self.raw.decode("utf-8", "replace")}


def parse_mail(raw: bytes, number: int, received_at: datetime, envelope_from: str, envelope_to: list[str]) -> Mail:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    return Mail(
        number=number,
        received_at=received_at,
        envelope_from=envelope_from,
        envelope_to=tuple(envelope_to),
        raw=raw,
        subject=str(message.get("Subject", "")),
        sender=str(message.get("From", "")),
        to=str(message.get("To", "")),
        date=str(message.get("Date", "")),
        message_id=str(message.get("Message-ID", "")),
        headers=tuple((name, str(value)) for name, value in message.items()),
        html=_body(message, "html"),
        text=_body(message, "plain"),
    )


def _body(message: email.message.EmailMessage, subtype: str) -> str | None:
    part = message.get_body(preferencelist=(subtype,))
    if part is None:
        return None
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return None
    try:
        return content.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:
        return content.decode("utf-8", "replace")


@dataclass(slots=True)
class Mailbox:
    """Mails in order of arrival, and who is refused (550) or put off (451)."""

    now: Callable[[], datetime]
    on_mail: Callable[[Mail], None] = lambda _mail: None
    mails: list[Mail] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    deferred: dict[str, int | None] = field(default_factory=dict)

    def receive(self, raw: bytes, envelope_from: str, envelope_to: list[str]) -> Mail:
        mail = parse_mail(raw, len(self.mails) + 1, self.now(), envelope_from, envelope_to)
        self.mails.append(mail)
        self.on_mail(mail)
        return mail

    def find(self, number: int) -> Mail | None:
        return self.mails[number - 1] if 1 <= number <= len(self.mails) else None

    def recipient_answer(self, address: str) -> str | None:
        """The SMTP answer that turns this recipient away, or None; a deferral for some times is used up by one."""
        address = address.lower()
        if self.refused & {address, EVERYBODY}:
            return "550 5.1.1 The sandbox was told to refuse this recipient"
        name = next((name for name in (address, EVERYBODY) if name in self.deferred), None)
        if name is None:
            return None
        left = self.deferred[name]
        if left is not None:
            self.deferred[name] = left - 1
            if left <= 1:
                del self.deferred[name]
        return "451 4.3.0 The sandbox was told to put this recipient off, try again later"

    def clear(self) -> None:
        self.mails.clear()
        self.refused.clear()
        self.deferred.clear()
