"""What the use cases need from the outside world."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from backstop_notifier.domain.delivery import Kind, Outcome


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery this worker may send now. `attempt_count` counts this attempt."""

    id: UUID
    kind: Kind
    recipient: str | None
    payload: Mapping[str, Any]
    attempt_count: int
    created_at: datetime


class Sender(Protocol):
    """Sends one message after the other."""

    async def send(self, delivery: ClaimedDelivery) -> Outcome:
        """Try once, within a minute. Whatever goes wrong is in the outcome; nothing is raised for a bad message."""
        ...


class Outlet(Protocol):
    """One channel."""

    def open(self) -> AbstractAsyncContextManager[Sender]:
        """A sender for one batch; what it shares between messages (a connection) ends with the block."""
        ...
