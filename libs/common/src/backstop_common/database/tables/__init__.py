"""The schema, one Table each, with the constraints that carry the invariants.

CHECKs and partial unique indexes say what must never be true, whoever writes: one settlement per task, one run per
tick, one tick per slot, a lease is set or not set as a whole, frozen credits between zero and the balance. Writers
per table are listed in `backstop_common.database.owners`.
"""

from backstop_common.database.tables.access import api_keys, audit_log, webhook_keys
from backstop_common.database.tables.columns import metadata
from backstop_common.database.tables.credits import credit_accounts, credit_transactions
from backstop_common.database.tables.jobs import cron_job_executions, failure_holds, jobs, run_previews, ticks
from backstop_common.database.tables.messages import dead_letters, inbox, outbox
from backstop_common.database.tables.notifications import deliveries, incidents
from backstop_common.database.tables.tasks import task_assets, task_events, tasks, users

__all__ = [
    "api_keys",
    "audit_log",
    "credit_accounts",
    "credit_transactions",
    "cron_job_executions",
    "dead_letters",
    "deliveries",
    "failure_holds",
    "inbox",
    "incidents",
    "jobs",
    "metadata",
    "outbox",
    "run_previews",
    "task_assets",
    "task_events",
    "tasks",
    "ticks",
    "users",
    "webhook_keys",
]
