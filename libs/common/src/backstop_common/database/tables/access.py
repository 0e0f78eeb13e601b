"""Who may ask, who did what, and the keys that providers sign their webhooks with."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from backstop_common.database.tables.columns import EMPTY_OBJECT, metadata, moment

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("key_sha256", LargeBinary, nullable=False, unique=True),
    Column("scopes", ARRAY(Text), nullable=False),
    moment("created_at", default=True),
    moment("last_used_at"),
    moment("revoked_at"),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", JSONB, nullable=False, server_default=EMPTY_OBJECT),
    moment("at", default=True),
)

webhook_keys = Table(
    "webhook_keys",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("jwk", JSONB, nullable=False),
    moment("fetched_at", default=True),
)
