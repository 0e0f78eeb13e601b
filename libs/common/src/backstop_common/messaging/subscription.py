"""What a service listens to, as data: queue, message and handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from backstop_common.contracts import Message, QueueSpec

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a handler knows of a message beyond its body. `consumer` and `event_id` together are the inbox key."""

    consumer: str
    event_id: UUID
    correlation_id: str | None


Handler = Callable[[M, Delivery], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Subscription:
    """One queue and the handler of its messages."""

    queue: QueueSpec
    message: type[Message]
    handler: Callable[[Any, Delivery], Awaitable[None]]
    prefetch_count: int = 10


def subscription(service: str, message: type[M], handler: Handler[M], *, prefetch_count: int = 10) -> Subscription:
    """A subscription whose handler takes exactly this message."""
    return Subscription(QueueSpec(service, message.type), message, handler, prefetch_count)
