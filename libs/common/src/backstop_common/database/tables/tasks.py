"""Users, their tasks, what the tasks made, and what happened to them."""

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
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from backstop_common.database.tables.columns import EMPTY_OBJECT, count, metadata, moment, words

users = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("email", Text),
    Column("name", Text),
    Column("locale", Text, nullable=False, server_default="en"),
    Column("notify", Boolean, nullable=False, server_default=text("true")),
    moment("created_at", default=True),
    moment("updated_at", default=True),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("kind", Text, words("kind", "image", "video"), nullable=False),
    Column("provider", Text, nullable=False),
    Column("provider_task_id", Text),
    Column("credits", BigInteger, CheckConstraint("credits >= 0", name="credits"), nullable=False),
    Column("billing", Text, words("billing", "hold", "on_success", "prepaid", "none"), nullable=False),
    Column("metadata", JSONB, nullable=False, server_default=EMPTY_OBJECT),
    Column(
        "status",
        Text,
        words(
            "status",
            "processing",
            "completed",
            "failed",
            "cancelled",
            "expired",
            "asset_lost",
            "timed_out",
            "needs_attention",
            "ignored",
        ),
        nullable=False,
        server_default="processing",
    ),
    moment("submitted_at", default=True),
    moment("output_deadline_at"),
    moment("next_check_at"),
    count("turn"),
    count("check_count"),
    count("error_count"),
    count("not_found_count"),
    Column("last_denial", Text, words("last_denial", "id", "output")),
    Column("last_verdict", Text),
    moment("last_checked_at"),
    Column("failure_code", Text),
    Column("failure_message", Text),
    Column(
        "stuck_cause",
        Text,
        words(
            "stuck_cause",
            "webhook_lost",
            "provider_slow",
            "provider_trouble",
            "provider_denies",
            "never_submitted",
            "own_trouble",
        ),
    ),
    moment("webhook_at"),
    moment("withheld_at"),
    Column(
        "withheld_outcome",
        Text,
        words("withheld_outcome", "failed", "cancelled", "expired", "asset_lost", "timed_out"),
    ),
    moment("approved_at"),
    Column("run_id", UUID),
    Column("fence", BigInteger, CheckConstraint("fence >= 0", name="fence"), nullable=False, server_default="0"),
    Column("lease_holder", Text),
    moment("lease_expires_at"),
    moment("finished_at"),
    moment("created_at", default=True),
    moment("updated_at", default=True),
    CheckConstraint("(lease_holder IS NULL) = (lease_expires_at IS NULL)", name="lease_as_a_whole"),
    CheckConstraint(
        "lease_holder IS NULL OR status IN ('processing', 'timed_out')", name="lease_only_while_processing"
    ),
    CheckConstraint(
        "(status IN ('processing', 'needs_attention')) = (finished_at IS NULL)", name="finished_when_final"
    ),
    CheckConstraint("(withheld_at IS NULL) = (withheld_outcome IS NULL)", name="withheld_as_a_whole"),
)
Index(
    "ix_tasks_claimable",
    tasks.c.provider,
    tasks.c.turn,
    text("coalesce(output_deadline_at, 'infinity'::timestamptz)"),
    tasks.c.submitted_at,
    tasks.c.id,
    postgresql_where=text("status = 'processing'"),
)
Index("ix_tasks_due", tasks.c.next_check_at, tasks.c.id, postgresql_where=text("status = 'processing'"))
Index(
    "ix_tasks_due_by_provider",
    tasks.c.provider,
    tasks.c.next_check_at,
    postgresql_include=["submitted_at"],
    postgresql_where=text("status = 'processing'"),
)
Index(
    "ix_tasks_open_of_user",
    tasks.c.user_id,
    tasks.c.provider,
    postgresql_where=text("status = 'processing' AND next_check_at IS NOT NULL"),
)
Index(
    "ix_tasks_new",
    tasks.c.submitted_at,
    postgresql_where=text("status = 'processing' AND next_check_at IS NULL"),
)
Index(
    "ix_tasks_late",
    tasks.c.next_check_at,
    postgresql_where=text("status = 'timed_out' AND next_check_at IS NOT NULL"),
)
Index(
    "ix_tasks_withheld",
    tasks.c.provider,
    tasks.c.withheld_outcome,
    postgresql_where=text("status = 'processing' AND withheld_at IS NOT NULL"),
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
    Column("role", Text, words("role", "primary", "thumbnail", "last_frame", "original"), nullable=False),
    Column("key", Text, nullable=False, unique=True),
    Column("content_type", Text, nullable=False),
    Column("size_bytes", BigInteger, CheckConstraint("size_bytes >= 0", name="size_bytes"), nullable=False),
    Column("sha256", Text, CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256"), nullable=False),
    moment("stored_at", default=True),
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
    Column("detail", JSONB, nullable=False, server_default=EMPTY_OBJECT),
    Column("at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
)
Index("ix_task_events_task", task_events.c.task_id, task_events.c.id)
Index("ix_task_events_run", task_events.c.run_id, task_events.c.id, postgresql_where=text("run_id IS NOT NULL"))
