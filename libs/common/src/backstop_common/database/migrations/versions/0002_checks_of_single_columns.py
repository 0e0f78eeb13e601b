"""The checks of single columns, which the first schema left out."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NOT_NEGATIVE = {
    "credit_accounts": ("total_spent",),
    "credit_transactions": ("amount", "balance_after", "frozen_after"),
    "cron_job_executions": ("duration",),
    "dead_letters": ("attempt_count",),
    "deliveries": ("attempt_count",),
    "outbox": ("attempt_count",),
    "task_assets": ("output_index", "size_bytes"),
    "tasks": ("check_count", "credits", "error_count", "fence", "not_found_count"),
}
_TRIGGERS = ("schedule", "manual", "cron")
_WORDS = {
    ("credit_transactions", "kind"): ("grant", "hold", "charge", "release", "refund"),
    ("cron_job_executions", "status"): ("running", "completed", "failed", "skipped", "missed"),
    ("cron_job_executions", "trigger"): _TRIGGERS,
    ("deliveries", "channel"): ("email", "slack", "discord"),
    ("deliveries", "state"): ("pending", "sending", "sent", "failed", "uncertain"),
    ("incidents", "state"): ("open", "resolved"),
    ("jobs", "overlap"): ("skip", "allow"),
    ("task_assets", "role"): ("primary", "thumbnail", "last_frame", "original"),
    ("tasks", "billing"): ("hold", "on_success", "prepaid", "none"),
    ("tasks", "kind"): ("image", "video"),
    ("tasks", "status"): (
        "processing",
        "completed",
        "failed",
        "cancelled",
        "expired",
        "timed_out",
        "needs_attention",
        "ignored",
    ),
    ("ticks", "trigger"): _TRIGGERS,
}


def upgrade() -> None:
    """Apply this step."""
    for table, columns in _NOT_NEGATIVE.items():
        for column in columns:
            op.create_check_constraint(op.f(f"ck_{table}_{column}"), table, f"{column} >= 0")
    for (table, column), words in _WORDS.items():
        listed = ", ".join(f"'{word}'" for word in words)
        op.create_check_constraint(op.f(f"ck_{table}_{column}"), table, f"{column} IN ({listed})")
    op.create_check_constraint(op.f("ck_task_assets_sha256"), "task_assets", "sha256 ~ '^[0-9a-f]{64}$'")
