"""Declaring what `backstop_common.contracts.topology` says."""

from __future__ import annotations

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange

from backstop_common.contracts import DEAD_EXCHANGE, DELIVERY_LIMIT, EXCHANGE, QUEUES


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
