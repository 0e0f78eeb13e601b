"""The chat messages that arrived, and the switches that make a vendor turn some away."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Vendor(StrEnum):
    SLACK = "slack"
    DISCORD = "discord"


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One accepted message; `number` counts from 1."""

    number: int
    vendor: Vendor
    channel: str
    received_at: datetime
    body: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "vendor": self.vendor,
            "channel": self.channel,
            "received_at": self.received_at.isoformat(),
            "body": self.body,
        }


@dataclass(slots=True)
class Refusal:
    """The vendor answers `status` to the next `times` messages (None: until lifted) of a channel, or of all."""

    vendor: Vendor
    status: int
    channel: str | None = None
    times: int | None = None
    retry_after_seconds: float = 1

    def concerns(self, vendor: Vendor, channel: str) -> bool:
        return self.vendor is vendor and self.channel in {None, channel}


@dataclass(slots=True)
class ChatRoom:
    """Messages in order of arrival; `turned_away` counts what was refused or invalid."""

    now: Callable[[], datetime]
    on_message: Callable[[ChatMessage], None] = lambda _message: None
    messages: list[ChatMessage] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    turned_away: int = 0

    def post(self, vendor: Vendor, channel: str, body: dict[str, Any]) -> ChatMessage:
        message = ChatMessage(len(self.messages) + 1, vendor, channel, self.now(), body)
        self.messages.append(message)
        self.on_message(message)
        return message

    def refusal(self, vendor: Vendor, channel: str) -> Refusal | None:
        """The refusal this message meets; uses up one of its times."""
        met = next((refusal for refusal in self.refusals if refusal.concerns(vendor, channel)), None)
        if met is not None and met.times is not None:
            met.times -= 1
            if met.times <= 0:
                self.refusals.remove(met)
        return met

    def clear(self) -> None:
        self.messages.clear()
        self.refusals.clear()
        self.turned_away = 0
