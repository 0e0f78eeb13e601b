"""The subscriptions of a service on RabbitMQ, and the one place where messages are acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from aio_pika.exceptions import AMQPError
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue
from faststream.rabbit.message import RabbitMessage

from backstop_common.errors import TransientError
from backstop_common.messaging.processing import Again, Dead, Handled, Incoming, process
from backstop_common.messaging.rabbit.address import amqp_address
from backstop_common.messaging.rabbit.driver import driver_errors
from backstop_common.messaging.rabbit.publishing import RabbitPublisher
from backstop_common.messaging.subscription import Subscription

_log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 25 * 60.0
"""How long a handler waits in place for the database: below RabbitMQ's consumer time-out of 30 minutes."""

_FAREWELL_SECONDS = 3.0


@dataclass(slots=True)
class RabbitConsumers:
    """The subscriptions of one service on RabbitMQ, through FastStream."""

    amqp_url: str
    name: str
    subscriptions: Sequence[Subscription]
    publisher: RabbitPublisher
    _broker: RabbitBroker | None = None
    _subscribers: list[Any] | None = None
    _in_flight: int = 0
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        """Connect and start consuming; the topology has to be declared already.

        Raises:
            OSError, AMQPError: the broker cannot be reached or refuses us.
        """
        broker = RabbitBroker(
            str(amqp_address(self.amqp_url).update_query(name=f"{self.name} consumer")),
            reconnect_interval=1.0,
            graceful_timeout=None,
            apply_types=False,
            logger=None,
            app_id=f"backstop-{self.name}",
        )
        self._subscribers = [self._bind(broker, subscription) for subscription in self.subscriptions]
        self._broker = broker
        await broker.start()

    def _bind(self, broker: RabbitBroker, subscription: Subscription) -> Any:
        async def on_message(message: RabbitMessage) -> None:
            self._in_flight += 1
            self._idle.clear()
            try:
                await self._settle(subscription, message)
            finally:
                self._in_flight -= 1
                if self._in_flight == 0:
                    self._idle.set()

        subscriber = broker.subscriber(
            RabbitQueue(subscription.queue.name, declare=False),
            channel=Channel(prefetch_count=subscription.prefetch_count),
            ack_policy=AckPolicy.MANUAL,
            decoder=_undecoded,
            no_reply=True,
        )
        subscriber(on_message)
        return subscriber

    async def _settle(self, subscription: Subscription, message: RabbitMessage) -> None:
        """The one place where messages are acknowledged."""
        incoming = Incoming(
            message.body,
            message.raw_message.message_id,
            message.raw_message.correlation_id,
            _text(message.headers.get("traceparent")),
        )
        result = await process(subscription, incoming, patience_seconds=PATIENCE_SECONDS)
        try:
            match result:
                case Handled():
                    await message.ack()
                case Dead(reason=reason):
                    await self._bury(subscription, message, reason)
                case Again():
                    await message.nack(requeue=True)
        except (AMQPError, ConnectionError, RuntimeError) as error:
            # The channel is gone and with it our answer: the broker delivers again, the inbox makes that harmless.
            _log.warning("acknowledgement_lost", queue=subscription.queue.name, error=type(error).__name__)

    async def _bury(self, subscription: Subscription, message: RabbitMessage, reason: str) -> None:
        try:
            await self.publisher.bury(message, queue=subscription.queue.name, reason=reason)
        except TransientError as error:
            # The broker moves it to the same queue by itself, only without our words in the header.
            _log.error("message_dead", queue=subscription.queue.name, reason=reason, header_lost=str(error))
            await message.reject(requeue=False)
        else:
            _log.error("message_dead", queue=subscription.queue.name, reason=reason, message_id=message.message_id)
            await message.ack()

    @property
    def is_connected(self) -> bool:
        """Whether the consumers' connection is up."""
        connection = None if self._broker is None else self._broker._connection  # noqa: SLF001 - ping() only polls this
        return connection is not None and connection.connected.is_set()

    async def stop(self, *, drain_seconds: float = 10.0) -> None:
        """Stop consuming first, then let running handlers end, then close.

        FastStream waits before it cancels its consumers, so messages that arrive meanwhile would burn a delivery;
        hence the consumers are cancelled here. What is still running after `drain_seconds` is delivered again.
        """
        if self._broker is None:
            return
        await asyncio.gather(*(self._cancel(subscriber) for subscriber in self._subscribers or []))
        if self._in_flight:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), drain_seconds)
        await _or_give_up(self._broker.stop())

    async def _cancel(self, subscriber: Any) -> None:
        queue, tag = subscriber._queue_obj, subscriber._consumer_tag  # noqa: SLF001 - no public way to cancel only
        if queue is not None and tag is not None and self.is_connected and not queue.channel.is_closed:
            await _or_give_up(queue.cancel(tag))
            subscriber._consumer_tag = None  # noqa: SLF001


async def _undecoded(message: RabbitMessage) -> RabbitMessage:
    """Keep FastStream from parsing bodies: an undecodable one would be rejected before any handler could say why."""
    return message


def _text(value: object) -> str | None:
    return value.decode(errors="replace") if isinstance(value, bytes) else None if value is None else str(value)


async def _or_give_up(farewell: Awaitable[Any]) -> None:
    """A broker that no longer answers does not keep us from stopping; it notices our end by itself."""
    try:
        async with driver_errors(timeout_seconds=_FAREWELL_SECONDS):
            await farewell
    except TransientError as error:
        _log.warning("broker_left_without_farewell", reason=str(error))
