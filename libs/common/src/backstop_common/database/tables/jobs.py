"""Jobs, their ticks and their runs."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Table, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from backstop_common.database.tables.columns import EMPTY_OBJECT, metadata, moment, words

jobs = Table(
    "jobs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("schedule", Text, nullable=False),
    Column("timezone", Text, nullable=False, server_default="UTC"),
    Column("overlap", Text, words("overlap", "skip", "allow"), nullable=False, server_default="skip"),
    moment("scheduled_from", default=True),
    moment("paused_at"),
    Column("paused_by", Text),
    Column("pause_note", Text),
    moment("created_at", default=True),
    moment("updated_at", default=True),
)

ticks = Table(
    "ticks",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("job_name", Text, ForeignKey("jobs.name"), nullable=False),
    Column("slot", Text, nullable=False),
    Column("trigger", Text, words("trigger", "schedule", "manual", "cron"), nullable=False),
    Column("actor", Text),
    moment("scheduled_for", nullable=False),
    moment("created_at", default=True),
    UniqueConstraint("job_name", "slot"),
)
Index(
    "ix_ticks_job_name_scheduled",
    ticks.c.job_name,
    ticks.c.scheduled_for,
    postgresql_where=text("trigger = 'schedule'"),
)

cron_job_executions = Table(
    "cron_job_executions",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("job_name", Text, ForeignKey("jobs.name"), nullable=False),
    Column("tick_id", UUID, ForeignKey("ticks.id", ondelete="SET NULL"), unique=True),
    Column("trigger", Text, words("trigger", "schedule", "manual", "cron"), nullable=False),
    Column("actor", Text),
    moment("scheduled_for", nullable=False),
    moment("started_at", nullable=False),
    moment("completed_at"),
    Column("duration", BigInteger, CheckConstraint("duration >= 0", name="duration")),
    Column("status", Text, words("status", "running", "completed", "failed", "skipped", "missed"), nullable=False),
    Column("results", JSONB, nullable=False, server_default=EMPTY_OBJECT),
    Column("error_message", Text),
    Column("degraded_providers", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    moment("horizon_at", nullable=False),
    moment("heartbeat_at", nullable=False),
    moment("deadline_at", nullable=False),
    moment("created_at", default=True),
    CheckConstraint("(status = 'running') = (completed_at IS NULL)", name="completed_when_over"),
    CheckConstraint("(completed_at IS NULL) = (duration IS NULL)", name="duration_when_over"),
)
Index(
    "ix_executions_job_started",
    cron_job_executions.c.job_name,
    cron_job_executions.c.started_at.desc(),
    cron_job_executions.c.id.desc(),
)
Index("ix_executions_started", cron_job_executions.c.started_at.desc(), cron_job_executions.c.id.desc())
Index("ix_executions_running", cron_job_executions.c.job_name, postgresql_where=text("status = 'running'"))

Index(
    "ix_executions_job_status",
    cron_job_executions.c.job_name,
    cron_job_executions.c.status,
    cron_job_executions.c.started_at.desc(),
    cron_job_executions.c.id.desc(),
)
Index("ix_ticks_job_name_created", ticks.c.job_name, ticks.c.created_at)
