"""The schema, one Table each, with the constraints that carry the invariants.

CHECKs and partial unique indexes say what must never be true, whoever writes: one settlement per task, one run per
tick, one tick per slot, a lease is set or not set as a whole, frozen credits between zero and the balance. Writers
per table are listed in `backstop_common.database.owners`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _moment(name: str, *, nullable: bool = True, default: bool = False) -> Column[object]:
    server_default = func.now() if default else None
    return Column(name, DateTime(timezone=True), nullable=nullable and not default, server_default=server_default)


def _count(name: str) -> Column[int]:
    return Column(name, Integer, CheckConstraint(f"{name} >= 0", name=name), nullable=False, server_default="0")


def _words(column: str, *words: str) -> CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


_EMPTY = text("'{}'::jsonb")

jobs = Table(
    "jobs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("schedule", Text, nullable=False),
    Column("timezone", Text, nullable=False, server_default="UTC"),
    Column("overlap", Text, _words("overlap", "skip", "allow"), nullable=False, server_default="skip"),
    _moment("scheduled_from", default=True),
    _moment("paused_at"),
    Column("paused_by", Text),
    Column("pause_note", Text),
    _moment("created_at", default=True),
    _moment("updated_at", default=True),
)

ticks = Table(
    "ticks",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("job_name", Text, ForeignKey("jobs.name"), nullable=False),
    Column("slot", Text, nullable=False),
    Column("trigger", Text, _words("trigger", "schedule", "manual", "cron"), nullable=False),
    Column("actor", Text),
    _moment("scheduled_for", nullable=False),
    _moment("created_at", default=True),
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
    Column("trigger", Text, _words("trigger", "schedule", "manual", "cron"), nullable=False),
    Column("actor", Text),
    _moment("scheduled_for", nullable=False),
    _moment("started_at", nullable=False),
    _moment("completed_at"),
    Column("duration", BigInteger, CheckConstraint("duration >= 0", name="duration")),
    Column("status", Text, _words("status", "running", "completed", "failed", "skipped", "missed"), nullable=False),
    Column("results", JSONB, nullable=False, server_default=_EMPTY),
    Column("error_message", Text),
    _moment("horizon_at", nullable=False),
    _moment("heartbeat_at", nullable=False),
    _moment("deadline_at", nullable=False),
    _moment("created_at", default=True),
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

users = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("email", Text),
    Column("name", Text),
    Column("locale", Text, nullable=False, server_default="en"),
    Column("notify", Boolean, nullable=False, server_default=text("true")),
    _moment("created_at", default=True),
    _moment("updated_at", default=True),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("kind", Text, _words("kind", "image", "video"), nullable=False),
    Column("provider", Text, nullable=False),
    Column("provider_task_id", Text),
    Column("credits", BigInteger, CheckConstraint("credits >= 0", name="credits"), nullable=False),
    Column("billing", Text, _words("billing", "hold", "on_success", "prepaid", "none"), nullable=False),
    Column("metadata", JSONB, nullable=False, server_default=_EMPTY),
    Column(
        "status",
        Text,
        _words(
            "status",
            "processing",
            "completed",
            "failed",
            "cancelled",
            "expired",
            "timed_out",
            "needs_attention",
            "ignored",
        ),
        nullable=False,
        server_default="processing",
    ),
    _moment("submitted_at", default=True),
    _moment("output_deadline_at"),
    _moment("next_check_at"),
    _count("check_count"),
    _count("error_count"),
    _count("not_found_count"),
    Column("last_verdict", Text),
    _moment("last_checked_at"),
    Column("failure_code", Text),
    Column("failure_message", Text),
    Column("run_id", UUID),
    Column("fence", BigInteger, CheckConstraint("fence >= 0", name="fence"), nullable=False, server_default="0"),
    Column("lease_holder", Text),
    _moment("lease_expires_at"),
    _moment("finished_at"),
    _moment("created_at", default=True),
    _moment("updated_at", default=True),
    CheckConstraint("(lease_holder IS NULL) = (lease_expires_at IS NULL)", name="lease_as_a_whole"),
    CheckConstraint("lease_holder IS NULL OR status = 'processing'", name="lease_only_while_processing"),
    CheckConstraint(
        "(status IN ('processing', 'needs_attention')) = (finished_at IS NULL)", name="finished_when_final"
    ),
)
Index(
    "ix_tasks_claimable",
    tasks.c.output_deadline_at,
    tasks.c.submitted_at,
    tasks.c.id,
    postgresql_where=text("status = 'processing'"),
)
Index("ix_tasks_due", tasks.c.next_check_at, postgresql_where=text("status = 'processing'"))
Index(
    "ix_tasks_new",
    tasks.c.submitted_at,
    postgresql_where=text("status = 'processing' AND next_check_at IS NULL"),
)
Index(
    "uq_tasks_provider_task_id",
    tasks.c.provider,
    tasks.c.provider_task_id,
    unique=True,
    postgresql_where=text("provider_task_id IS NOT NULL"),
)
Index("ix_tasks_user", tasks.c.user_id, tasks.c.submitted_at)

task_assets = Table(
    "task_assets",
    metadata,
    Column("task_id", UUID, ForeignKey("tasks.id"), primary_key=True),
    Column("output_index", Integer, CheckConstraint("output_index >= 0", name="output_index"), primary_key=True),
    Column("role", Text, _words("role", "primary", "thumbnail", "last_frame", "original"), nullable=False),
    Column("key", Text, nullable=False, unique=True),
    Column("content_type", Text, nullable=False),
    Column("size_bytes", BigInteger, CheckConstraint("size_bytes >= 0", name="size_bytes"), nullable=False),
    Column("sha256", Text, CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256"), nullable=False),
    _moment("stored_at", default=True),
)

task_events = Table(
    "task_events",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("task_id", UUID, ForeignKey("tasks.id"), nullable=False),
    Column("run_id", UUID),
    Column("kind", Text, nullable=False),
    Column("verdict", Text),
    Column("outcome", Text),
    Column("detail", JSONB, nullable=False, server_default=_EMPTY),
    Column("at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
)
Index("ix_task_events_task", task_events.c.task_id, task_events.c.id)
Index("ix_task_events_run", task_events.c.run_id, task_events.c.id, postgresql_where=text("run_id IS NOT NULL"))

credit_accounts = Table(
    "credit_accounts",
    metadata,
    Column("user_id", Text, ForeignKey("users.id"), primary_key=True),
    Column("balance", BigInteger, nullable=False, server_default="0"),
    Column("frozen_balance", BigInteger, nullable=False, server_default="0"),
    Column(
        "total_spent",
        BigInteger,
        CheckConstraint("total_spent >= 0", name="total_spent"),
        nullable=False,
        server_default="0",
    ),
    _moment("updated_at", default=True),
    CheckConstraint("balance >= 0", name="balance"),
    CheckConstraint("frozen_balance BETWEEN 0 AND balance", name="frozen_balance"),
)

credit_transactions = Table(
    "credit_transactions",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("task_id", UUID, ForeignKey("tasks.id")),
    Column("kind", Text, _words("kind", "grant", "hold", "charge", "release", "refund"), nullable=False),
    Column("amount", BigInteger, CheckConstraint("amount >= 0", name="amount"), nullable=False),
    Column("balance_change", BigInteger, nullable=False),
    Column("frozen_change", BigInteger, nullable=False),
    Column("balance_after", BigInteger, CheckConstraint("balance_after >= 0", name="balance_after"), nullable=False),
    Column("frozen_after", BigInteger, CheckConstraint("frozen_after >= 0", name="frozen_after"), nullable=False),
    Column("reason", Text),
    Column("reference_id", Text),
    _moment("created_at", default=True),
    CheckConstraint(
        "CASE kind"
        " WHEN 'grant' THEN balance_change = amount AND frozen_change = 0"
        " WHEN 'hold' THEN balance_change = 0 AND frozen_change = amount"
        " WHEN 'charge' THEN balance_change = -amount AND frozen_change IN (0, -amount)"
        " WHEN 'release' THEN balance_change = 0 AND frozen_change = -amount"
        " WHEN 'refund' THEN balance_change = amount AND frozen_change = 0"
        " END",
        name="effect_of_kind",
    ),
    CheckConstraint("(kind = 'grant') = (task_id IS NULL)", name="task_unless_grant"),
)
Index(
    "uq_credit_transactions_settlement",
    credit_transactions.c.task_id,
    unique=True,
    postgresql_where=text("kind IN ('charge', 'release', 'refund')"),
)
Index("uq_credit_transactions_hold", credit_transactions.c.task_id, unique=True, postgresql_where=text("kind = 'hold'"))
Index(
    "uq_credit_transactions_reference",
    credit_transactions.c.user_id,
    credit_transactions.c.reference_id,
    unique=True,
    postgresql_where=text("reference_id IS NOT NULL"),
)
Index("ix_credit_transactions_user", credit_transactions.c.user_id, credit_transactions.c.created_at)

incidents = Table(
    "incidents",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("job_name", Text, nullable=False),
    Column("provider", Text),
    Column("state", Text, _words("state", "open", "resolved"), nullable=False),
    Column("summary", Text, nullable=False),
    Column("run_id", UUID),
    _moment("opened_at", nullable=False),
    _moment("resolved_at"),
    _moment("created_at", default=True),
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
    Column("channel", Text, _words("channel", "email", "slack", "discord"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("recipient", Text),
    Column("task_id", UUID),
    Column("run_id", UUID),
    Column("incident_id", UUID),
    Column("payload", JSONB, nullable=False),
    Column(
        "state",
        Text,
        _words("state", "pending", "sending", "sent", "failed", "uncertain"),
        nullable=False,
        server_default="pending",
    ),
    _count("attempt_count"),
    _moment("next_attempt_at", default=True),
    Column("lease_holder", Text),
    _moment("lease_expires_at"),
    Column("last_error", Text),
    _moment("sent_at"),
    _moment("created_at", default=True),
    CheckConstraint("(lease_holder IS NULL) = (lease_expires_at IS NULL)", name="lease_as_a_whole"),
    CheckConstraint("(state = 'sending') = (lease_holder IS NOT NULL)", name="lease_only_while_sending"),
    CheckConstraint("(state = 'sent') = (sent_at IS NOT NULL)", name="sent_at_when_sent"),
)
Index("ix_deliveries_open", deliveries.c.next_attempt_at, postgresql_where=text("state IN ('pending', 'sending')"))

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("key_sha256", LargeBinary, nullable=False, unique=True),
    Column("scopes", ARRAY(Text), nullable=False),
    _moment("created_at", default=True),
    _moment("last_used_at"),
    _moment("revoked_at"),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", JSONB, nullable=False, server_default=_EMPTY),
    _moment("at", default=True),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("event_id", UUID, nullable=False),
    Column("type", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("correlation_id", Text),
    Column("traceparent", Text),
    _count("attempt_count"),
    _moment("not_before", default=True),
    Column("last_error", Text),
    _moment("created_at", default=True),
)

inbox = Table(
    "inbox",
    metadata,
    Column("consumer", Text, primary_key=True),
    Column("event_id", UUID, primary_key=True),
    _moment("received_at", default=True),
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
    _count("attempt_count"),
    _moment("dead_at", default=True),
    UniqueConstraint("queue", "event_id"),
)
