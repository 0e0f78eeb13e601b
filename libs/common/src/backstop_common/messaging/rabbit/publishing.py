"""The way to RabbitMQ: outbox rows with confirms, and messages that are given up.

A message that cannot be handled is published to the dead-letter exchange with its reason in the header
`x-backstop-reason`; its consumer acknowledges it only then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractRobustConnection
from faststream.rabbit.message import RabbitMessage

from backstop_common.contracts import DEAD_EXCHANGE, QUEUES, queues_of
from backstop_common.errors import TransientError
from backstop_common.messaging.rabbit.address import amqp_address
from backstop_common.messaging.rabbit.driver import driver_errors
from backstop_common.messaging.rabbit.topology import declare_topology
from backstop_common.observability.metrics import DEAD_LETTERS
from backstop_common.outbox.relay import Confirmation, Confirmed, NotConfirmed, OutboxRow

PUBLISH_TIMEOUT_SECONDS = 5.0


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
        # A connection that mends itself goes on trying after it was given up: knock with a plain one first.
        await (await aio_pika.connect(str(self._address))).close()
        self._connection = await aio_pika.connect_robust(str(self._address))
        self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        self._exchange = await declare_topology(self._channel)
        self._dead = await self._channel.get_exchange(DEAD_EXCHANGE, ensure=False)

    async def stop(self) -> None:
        """Close the connection; unconfirmed rows stay in the outbox."""
        if self._connection is not None:
            with contextlib.suppress(TransientError):  # a broker that does not answer has nothing left to be told
                async with driver_errors(timeout_seconds=PUBLISH_TIMEOUT_SECONDS):
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
            async with driver_errors(timeout_seconds=PUBLISH_TIMEOUT_SECONDS):
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
        async with driver_errors(timeout_seconds=PUBLISH_TIMEOUT_SECONDS):
            await self._dead.publish(copy, routing_key=queue, mandatory=True)

    async def measure(self) -> bool:
        """Set the gauge of dead letters per queue; always False (nothing more to do)."""
        if self._connection is None or not self.is_connected:
            return False
        async with driver_errors(timeout_seconds=PUBLISH_TIMEOUT_SECONDS):
            channel = await self._connection.channel()
            try:
                for spec in QUEUES:
                    queue = await channel.declare_queue(spec.dead_name, passive=True)
                    DEAD_LETTERS.labels(queue=spec.name).set(queue.declaration_result.message_count or 0)
            finally:
                await channel.close()
        return False
