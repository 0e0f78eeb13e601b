"""Jobs, their ticks, their runs, what a dry run would have done, and the holds on failures."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
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
    Column("dry_run", Boolean, nullable=False, server_default=text("false")),
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
    Column("dry_run", Boolean, nullable=False, server_default=text("false")),
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

run_previews = Table(
    "run_previews",
    metadata,
    Column("run_id", UUID, ForeignKey("cron_job_executions.id", ondelete="CASCADE"), primary_key=True),
    Column("task_id", UUID, ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("provider", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("settlement", Text, words("settlement", "charge", "release", "refund")),
    Column("credits", BigInteger, CheckConstraint("credits >= 0", name="credits"), nullable=False),
    Column("message", Text),
    moment("at", default=True),
    UniqueConstraint("run_id", "position"),
)
Index("ix_run_previews_task", run_previews.c.task_id)

failure_holds = Table(
    "failure_holds",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("job_name", Text, ForeignKey("jobs.name"), nullable=False),
    Column("run_id", UUID, nullable=False),
    Column("failed_count", Integer, nullable=False),
    Column("checked_count", Integer, nullable=False),
    Column("limit_percent", Integer, nullable=False),
    moment("held_at", default=True),
    moment("lifted_at"),
    Column("lifted_by", Text),
    Column("decision", Text, words("decision", "approve", "recheck")),
    Column("note", Text),
    CheckConstraint("(lifted_at IS NULL) = (decision IS NULL)", name="lifted_as_a_whole"),
)
Index(
    "uq_failure_holds_open",
    failure_holds.c.job_name,
    unique=True,
    postgresql_where=text("lifted_at IS NULL"),
)
