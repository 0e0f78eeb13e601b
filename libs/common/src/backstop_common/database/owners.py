"""Which service writes which table. A test holds the statements of the code against this list.

Each table has one owner; the exceptions are written by several services through the same functions of this library
(`backstop_common.ticks`, `backstop_common.outbox`).
"""

from __future__ import annotations

OWNERS: dict[str, frozenset[str]] = {
    "jobs": frozenset({"scheduler", "admin-api"}),
    "ticks": frozenset({"scheduler", "admin-api"}),
    "cron_job_executions": frozenset({"recovery"}),
    "run_previews": frozenset({"recovery"}),
    "failure_holds": frozenset({"recovery"}),
    "users": frozenset({"admin-api"}),
    "tasks": frozenset({"recovery", "admin-api"}),
    "task_assets": frozenset({"recovery"}),
    "task_events": frozenset({"recovery", "admin-api"}),
    "credit_accounts": frozenset({"recovery", "admin-api"}),
    "credit_transactions": frozenset({"recovery", "admin-api"}),
    "incidents": frozenset({"notifier"}),
    "deliveries": frozenset({"notifier"}),
    "api_keys": frozenset({"admin-api"}),
    "audit_log": frozenset({"admin-api"}),
    "webhook_keys": frozenset({"recovery"}),
    "outbox": frozenset({"scheduler", "recovery", "notifier", "admin-api"}),
    "inbox": frozenset({"recovery", "notifier", "admin-api"}),
    "dead_letters": frozenset({"scheduler", "recovery", "notifier", "admin-api"}),
}
