"""Holds on failures, dry runs, causes of stuckness, turns of users, webhooks, assets that are lost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this step."""
    _webhook_keys()
    _failure_holds()
    _run_previews()
    for table in ("ticks", "cron_job_executions"):
        op.add_column(table, sa.Column("dry_run", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index("ix_deliveries_task", "deliveries", ["task_id"], postgresql_where=sa.text("task_id IS NOT NULL"))
    _tasks()


def _webhook_keys() -> None:
    op.create_table(
        "webhook_keys",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("jwk", postgresql.JSONB(), nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("provider", "key_id", name=op.f("pk_webhook_keys")),
    )


def _failure_holds() -> None:
    op.create_table(
        "failure_holds",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("job_name", sa.Text(), nullable=False),
        sa.Column("run_id", sa.UUID(), nullable=False),
        sa.Column("failed_count", sa.Integer(), nullable=False),
        sa.Column("checked_count", sa.Integer(), nullable=False),
        sa.Column("limit_percent", sa.Integer(), nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lifted_by", sa.Text(), nullable=True),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint("decision IN ('approve', 'recheck')", name=op.f("ck_failure_holds_decision")),
        sa.CheckConstraint("(lifted_at IS NULL) = (decision IS NULL)", name=op.f("ck_failure_holds_lifted_as_a_whole")),
        sa.ForeignKeyConstraint(["job_name"], ["jobs.name"], name=op.f("fk_failure_holds_job_name_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_failure_holds")),
    )
    op.create_index(
        "uq_failure_holds_open",
        "failure_holds",
        ["job_name"],
        unique=True,
        postgresql_where=sa.text("lifted_at IS NULL"),
    )


def _run_previews() -> None:
    op.create_table(
        "run_previews",
        sa.Column("run_id", sa.UUID(), nullable=False),
        sa.Column("task_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("settlement", sa.Text(), nullable=True),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("settlement IN ('charge', 'release', 'refund')", name=op.f("ck_run_previews_settlement")),
        sa.CheckConstraint("credits >= 0", name=op.f("ck_run_previews_credits")),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["cron_job_executions.id"],
            name=op.f("fk_run_previews_run_id_cron_job_executions"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["task_id"], ["tasks.id"], name=op.f("fk_run_previews_task_id_tasks"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "task_id", name=op.f("pk_run_previews")),
        sa.UniqueConstraint("run_id", "position", name=op.f("uq_run_previews_run_id_position")),
    )
    op.create_index("ix_run_previews_task", "run_previews", ["task_id"])


def _tasks() -> None:
    op.add_column("tasks", sa.Column("turn", sa.Integer(), server_default="0", nullable=False))
    op.create_check_constraint(op.f("ck_tasks_turn"), "tasks", "turn >= 0")
    op.add_column("tasks", sa.Column("stuck_cause", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("ck_tasks_stuck_cause"),
        "tasks",
        "stuck_cause IN ('webhook_lost', 'provider_slow', 'provider_trouble', 'provider_denies', 'never_submitted',"
        " 'own_trouble')",
    )
    op.add_column("tasks", sa.Column("last_denial", sa.Text(), nullable=True))
    op.create_check_constraint(op.f("ck_tasks_last_denial"), "tasks", "last_denial IN ('id', 'output')")
    for moment in ("webhook_at", "withheld_at", "approved_at"):
        op.add_column("tasks", sa.Column(moment, sa.DateTime(timezone=True), nullable=True))
    op.add_column("tasks", sa.Column("withheld_outcome", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("ck_tasks_withheld_outcome"),
        "tasks",
        "withheld_outcome IN ('failed', 'cancelled', 'expired', 'asset_lost', 'timed_out')",
    )
    op.create_check_constraint(
        op.f("ck_tasks_withheld_as_a_whole"), "tasks", "(withheld_at IS NULL) = (withheld_outcome IS NULL)"
    )
    op.drop_constraint(op.f("ck_tasks_status"), "tasks")
    op.create_check_constraint(
        op.f("ck_tasks_status"),
        "tasks",
        "status IN ('processing', 'completed', 'failed', 'cancelled', 'expired', 'asset_lost', 'timed_out',"
        " 'needs_attention', 'ignored')",
    )
    op.drop_constraint(op.f("ck_tasks_lease_only_while_processing"), "tasks")
    op.create_check_constraint(
        op.f("ck_tasks_lease_only_while_processing"),
        "tasks",
        "lease_holder IS NULL OR status IN ('processing', 'timed_out')",
    )
    op.drop_index("ix_tasks_claimable", table_name="tasks")
    op.create_index(
        "ix_tasks_claimable",
        "tasks",
        [
            "provider",
            "turn",
            sa.literal_column("coalesce(output_deadline_at, 'infinity'::timestamptz)"),
            "submitted_at",
            "id",
        ],
        postgresql_where=sa.text("status = 'processing'"),
    )
    op.drop_index("ix_tasks_due", table_name="tasks")
    op.create_index("ix_tasks_due", "tasks", ["next_check_at", "id"], postgresql_where=sa.text("status = 'processing'"))
    op.create_index(
        "ix_tasks_due_by_provider",
        "tasks",
        ["provider", "next_check_at"],
        postgresql_include=["submitted_at"],
        postgresql_where=sa.text("status = 'processing'"),
    )
    op.create_index(
        "ix_tasks_open_of_user",
        "tasks",
        ["user_id", "provider"],
        postgresql_where=sa.text("status = 'processing' AND next_check_at IS NOT NULL"),
    )
    op.create_index(
        "ix_tasks_late",
        "tasks",
        ["next_check_at"],
        postgresql_where=sa.text("status = 'timed_out' AND next_check_at IS NOT NULL"),
    )
    op.create_index(
        "ix_tasks_withheld",
        "tasks",
        ["provider", "withheld_outcome"],
        postgresql_where=sa.text("status = 'processing' AND withheld_at IS NOT NULL"),
    )
    op.execute("UPDATE tasks SET next_check_at = NULL WHERE status = 'timed_out'")
