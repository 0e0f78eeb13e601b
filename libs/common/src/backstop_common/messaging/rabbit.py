"""RabbitMQ: the topology, the consumers, and the publisher of the relay.

Publishing and consuming use separate connections, because RabbitMQ blocks a publishing connection as a whole when
memory or disk run out. Both reconnect by themselves every second; heartbeats notice a half-open link within half a
minute. A message that cannot be handled is published to the dead-letter exchange with its reason in the header
`x-backstop-reason` and only then acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractRobustConnection
from aio_pika.exceptions import AMQPError, DeliveryError
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue
from faststream.rabbit.message import RabbitMessage
from yarl import URL

from backstop_common.contracts import DEAD_EXCHANGE, DELIVERY_LIMIT, EXCHANGE, QUEUES, queues_of
from backstop_common.errors import ConfigurationError, TransientError
from backstop_common.messaging.processing import Again, Dead, Handled, Incoming, process
from backstop_common.messaging.subscription import Subscription
from backstop_common.observability.metrics import DEAD_LETTERS
from backstop_common.outbox.relay import Confirmation, Confirmed, NotConfirmed, OutboxRow

_log = structlog.get_logger(__name__)

PUBLISH_TIMEOUT_SECONDS = 5.0
PATIENCE_SECONDS = 25 * 60.0
"""How long a handler waits in place for the database: below RabbitMQ's consumer time-out of 30 minutes."""

_REMEDY = "write it as amqp://USER:PASSWORD@HOST:5672/VHOST"


def amqp_address(amqp_url: str) -> URL:
    """The address with the time-outs this system relies on, unless it sets its own.

    Raises:
        ConfigurationError: it is not an AMQP URL.
    """
    try:
        url = URL(amqp_url)
    except ValueError as error:
        raise ConfigurationError(f"AMQP_URL is not a URL; {_REMEDY}") from error
    if url.scheme not in {"amqp", "amqps"} or not url.host:
        raise ConfigurationError(f"AMQP_URL has the scheme {url.scheme!r} and the host {url.host!r}; {_REMEDY}")
    defaults = {"heartbeat": "10", "reconnect_interval": "1", **url.query}
    return url.with_query(defaults)


async def declare_topology(channel: AbstractChannel) -> AbstractExchange:
    """Declare all exchanges, queues and bindings of the system (idempotent); the main exchange."""
    exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
    dead = await channel.declare_exchange(DEAD_EXCHANGE, aio_pika.ExchangeType.DIRECT, durable=True)
    for spec in QUEUES:
        queue = await channel.declare_queue(
            spec.name,
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-exchange": DEAD_EXCHANGE,
                "x-dead-letter-routing-key": spec.name,
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            },
        )
        await queue.bind(exchange, routing_key=spec.message_type)
        dead_queue = await channel.declare_queue(spec.dead_name, durable=True, arguments={"x-queue-type": "quorum"})
        await dead_queue.bind(dead, routing_key=spec.name)
    return exchange


@asynccontextmanager
async def _driver_errors() -> AsyncIterator[None]:
    """Translate what the driver raises; a CancelledError that nobody asked for means the connection died."""
    try:
        async with asyncio.timeout(PUBLISH_TIMEOUT_SECONDS):
            yield
    except DeliveryError as error:
        raise TransientError(f"RabbitMQ returned the message: {error}") from error
    except TimeoutError as error:
        raise TransientError(f"RabbitMQ did not confirm within {PUBLISH_TIMEOUT_SECONDS:.0f} s") from error
    except (AMQPError, ConnectionError, RuntimeError, OSError) as error:
        raise TransientError(f"RabbitMQ is not reachable: {type(error).__name__}") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling() > 0:
            raise
        raise TransientError("the connection to RabbitMQ was lost") from error


class RabbitPublisher:
    """Publishes outbox rows with confirms; also the way into the dead-letter exchange."""

    def __init__(self, amqp_url: str, *, name: str) -> None:
        self._address = amqp_address(amqp_url).update_query(name=f"{name} publisher")
        self._connection: AbstractRobustConnection | None = None
        self._channel: AbstractChannel | None = None
        self._exchange: AbstractExchange | None = None
        self._dead: AbstractExchange | None = None

    async def start(self) -> None:
        """Connect and declare the topology.

        Raises:
            OSError, AMQPError: the broker cannot be reached or refuses us.
        """
        self._connection = await aio_pika.connect_robust(str(self._address))
        self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        self._exchange = await declare_topology(self._channel)
        self._dead = await self._channel.get_exchange(DEAD_EXCHANGE, ensure=False)

    async def stop(self) -> None:
        """Close the connection; unconfirmed rows stay in the outbox."""
        if self._connection is not None:
            await self._connection.close()

    @property
    def is_connected(self) -> bool:
        """Whether the broker is there right now."""
        return (
            self._connection is not None
            and self._connection.connected.is_set()
            and self._channel is not None
            and not self._channel.is_closed
        )

    async def publish(self, rows: Sequence[OutboxRow]) -> Sequence[Confirmation]:
        """Publish all rows at once and wait for their confirms together."""
        if not self.is_connected:
            return [NotConfirmed("RabbitMQ is not connected")] * len(rows)
        return await asyncio.gather(*(self._publish(row) for row in rows))

    async def _publish(self, row: OutboxRow) -> Confirmation:
        if self._exchange is None:
            return NotConfirmed("RabbitMQ is not connected")
        message = aio_pika.Message(
            row.body.encode(),
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=str(row.event_id),
            correlation_id=row.correlation_id,
            timestamp=row.created_at,
            type=row.type,
            headers={"traceparent": row.traceparent} if row.traceparent else {},
        )
        # Types that only outsiders may bind to are not expected to reach a queue.
        mandatory = bool(queues_of(row.type))
        try:
            async with _driver_errors():
                await self._exchange.publish(message, routing_key=row.type, mandatory=mandatory)
        except TransientError as error:
            return NotConfirmed(str(error))
        return Confirmed()

    async def bury(self, message: RabbitMessage, *, queue: str, reason: str) -> None:
        """Put a copy of a message into the dead-letter queue of `queue`, with the reason.

        Raises:
            TransientError: the broker did not confirm it.
        """
        if self._dead is None:
            raise TransientError("RabbitMQ is not connected")
        original = message.raw_message
        copy = aio_pika.Message(
            original.body,
            content_type=original.content_type,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=original.message_id,
            correlation_id=original.correlation_id,
            timestamp=original.timestamp,
            type=original.type,
            headers={
                **original.headers,
                "x-backstop-reason": reason[:1000],
                "x-backstop-queue": queue,
                "x-backstop-dead-at": datetime.now(UTC).isoformat(),
            },
        )
        async with _driver_errors():
            await self._dead.publish(copy, routing_key=queue, mandatory=True)

    async def measure(self) -> bool:
        """Set the gauge of dead letters per queue; always False (nothing more to do)."""
        if self._connection is None or not self.is_connected:
            return False
        async with _driver_errors():
            channel = await self._connection.channel()
            try:
                for spec in QUEUES:
                    queue = await channel.declare_queue(spec.dead_name, passive=True)
                    DEAD_LETTERS.labels(queue=spec.name).set(queue.declaration_result.message_count or 0)
            finally:
                await channel.close()
        return False


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
        for subscriber in self._subscribers or []:
            queue, tag = subscriber._queue_obj, subscriber._consumer_tag  # noqa: SLF001 - no public way to cancel only
            if queue is not None and tag is not None and self.is_connected and not queue.channel.is_closed:
                await queue.cancel(tag)
                subscriber._consumer_tag = None  # noqa: SLF001
        if self._in_flight:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), drain_seconds)
        await self._broker.stop()


async def _undecoded(message: RabbitMessage) -> RabbitMessage:
    """Keep FastStream from parsing bodies: an undecodable one would be rejected before any handler could say why."""
    return message


def _text(value: object) -> str | None:
    return value.decode(errors="replace") if isinstance(value, bytes) else None if value is None else str(value)
