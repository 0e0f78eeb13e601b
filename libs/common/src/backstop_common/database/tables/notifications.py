"""Incidents, and what is sent to people."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, UUID

from backstop_common.database.tables.columns import count, metadata, moment, words

incidents = Table(
    "incidents",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("job_name", Text, nullable=False),
    Column("provider", Text),
    Column("state", Text, words("state", "open", "resolved"), nullable=False),
    Column("summary", Text, nullable=False),
    Column("run_id", UUID),
    moment("opened_at", nullable=False),
    moment("resolved_at"),
    moment("created_at", default=True),
    CheckConstraint("(state = 'resolved') = (resolved_at IS NOT NULL)", name="resolved_at_when_resolved"),
)
Index(
    "uq_incidents_open",
    incidents.c.rule,
    incidents.c.job_name,
    text("coalesce(provider, '')"),
    unique=True,
    postgresql_where=text("state = 'open'"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("channel", Text, words("channel", "email", "slack", "discord"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("recipient", Text),
    Column("task_id", UUID),
    Column("run_id", UUID),
    Column("incident_id", UUID),
    Column("payload", JSONB, nullable=False),
    Column(
        "state",
        Text,
        words("state", "pending", "sending", "sent", "failed", "uncertain"),
        nullable=False,
        server_default="pending",
    ),
    count("attempt_count"),
    moment("next_attempt_at", default=True),
    Column("lease_holder", Text),
    moment("lease_expires_at"),
    Column("last_error", Text),
    moment("sent_at"),
    moment("created_at", default=True),
    CheckConstraint("(lease_holder IS NULL) = (lease_expires_at IS NULL)", name="lease_as_a_whole"),
    CheckConstraint("(state = 'sending') = (lease_holder IS NOT NULL)", name="lease_only_while_sending"),
    CheckConstraint("(state = 'sent') = (sent_at IS NOT NULL)", name="sent_at_when_sent"),
)
Index("ix_deliveries_task", deliveries.c.task_id, postgresql_where=text("task_id IS NOT NULL"))
Index("ix_deliveries_open", deliveries.c.next_attempt_at, postgresql_where=text("state IN ('pending', 'sending')"))
