"""Putting messages into the outbox, inside the transaction that makes them true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from backstop_common.contracts import Message
from backstop_common.observability.tracing import current_traceparent


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message as it travels: body and what RabbitMQ carries as properties. It leaves after `delay_seconds`."""

    event_id: UUID
    type: str
    body: str
    correlation_id: str | None
    traceparent: str | None
    delay_seconds: float = 0.0

    @classmethod
    def of(
        cls,
        message: Message,
        *,
        event_id: UUID,
        correlation_id: UUID | str | None = None,
        delay_seconds: float = 0.0,
    ) -> Self:
        """The envelope of a message; the trace of the caller travels with it."""
        return cls(
            event_id=event_id,
            type=message.type,
            body=message.model_dump_json(),
            correlation_id=None if correlation_id is None else str(correlation_id),
            traceparent=current_traceparent(),
            delay_seconds=delay_seconds,
        )


async def insert_envelopes(connection: AsyncConnection, envelopes: list[Envelope]) -> None:
    """One statement for all of them; they keep their order."""
    if not envelopes:
        return
    await connection.execute(
        text(
            "INSERT INTO outbox (event_id, type, body, correlation_id, traceparent, not_before)"
            " SELECT event_id, type, body, correlation_id, traceparent, now() + make_interval(secs => delay)"
            " FROM unnest(CAST(:event_ids AS uuid[]), CAST(:types AS text[]), CAST(:bodies AS text[]),"
            " CAST(:correlation_ids AS text[]), CAST(:traceparents AS text[]), CAST(:delays AS float8[]))"
            " AS g (event_id, type, body, correlation_id, traceparent, delay)"
        ),
        {
            "event_ids": [envelope.event_id for envelope in envelopes],
            "types": [envelope.type for envelope in envelopes],
            "bodies": [envelope.body for envelope in envelopes],
            "correlation_ids": [envelope.correlation_id for envelope in envelopes],
            "traceparents": [envelope.traceparent for envelope in envelopes],
            "delays": [envelope.delay_seconds for envelope in envelopes],
        },
    )
