"""Messages on their way out, received, and given up."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import UUID

from backstop_common.database.tables.columns import count, metadata, moment

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("event_id", UUID, nullable=False),
    Column("type", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("correlation_id", Text),
    Column("traceparent", Text),
    count("attempt_count"),
    moment("not_before", default=True),
    Column("last_error", Text),
    moment("created_at", default=True),
)

inbox = Table(
    "inbox",
    metadata,
    Column("consumer", Text, primary_key=True),
    Column("event_id", UUID, primary_key=True),
    moment("received_at", default=True),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("queue", Text, nullable=False),
    Column("event_id", UUID, nullable=False),
    Column("type", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("reason", Text, nullable=False),
    count("attempt_count"),
    moment("dead_at", default=True),
    UniqueConstraint("queue", "event_id"),
)
