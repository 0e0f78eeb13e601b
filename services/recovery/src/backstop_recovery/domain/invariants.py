"""Questions whose answer must be none, asked of the production database.

Each is a sentence and the SQL that finds what contradicts it: a `subject` (task, user, run or delivery) per row. They
look only at what is committed, so a moment of work in progress never shows; what takes its time (mails) is given an
hour.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Invariant:
    """`name` is the label of the metric."""

    name: str
    sentence: str
    sql: str


INVARIANTS: tuple[Invariant, ...] = (
    Invariant(
        "balance_is_the_ledger",
        "An account's balances are the sums of its ledger",
        """
        SELECT a.user_id AS subject FROM credit_accounts a LEFT JOIN credit_transactions t USING (user_id)
        GROUP BY a.user_id
        HAVING a.balance <> coalesce(sum(t.balance_change), 0) OR a.frozen_balance <> coalesce(sum(t.frozen_change), 0)
            OR a.total_spent <> coalesce(sum(t.amount) FILTER (WHERE t.kind = 'charge'), 0)
        """,
    ),
    Invariant(
        "completed_is_charged",
        "A task is charged exactly when it is completed and owes credits",
        """
        SELECT t.id::text AS subject FROM tasks t
        LEFT JOIN credit_transactions c ON c.task_id = t.id AND c.kind = 'charge'
        WHERE (t.status = 'completed' AND t.credits > 0 AND t.billing IN ('hold', 'on_success')) <> (c.id IS NOT NULL)
        """,
    ),
    Invariant(
        "failed_is_given_back",
        "Credits are given back exactly when their task has failed",
        """
        SELECT t.id::text AS subject FROM tasks t
        LEFT JOIN credit_transactions c ON c.task_id = t.id AND c.kind IN ('release', 'refund')
        WHERE (t.status IN ('failed', 'cancelled', 'expired', 'asset_lost', 'timed_out') AND t.credits > 0
            AND t.billing IN ('hold', 'prepaid')) <> (c.id IS NOT NULL)
        """,
    ),
    Invariant(
        "frozen_has_its_task",
        "Frozen credits are those of tasks that are still open, or were left to the app",
        """
        SELECT a.user_id AS subject FROM credit_accounts a LEFT JOIN (
            SELECT user_id, sum(credits) AS held FROM tasks
            WHERE billing = 'hold' AND status IN ('processing', 'needs_attention', 'ignored') GROUP BY user_id
        ) open USING (user_id) WHERE a.frozen_balance <> coalesce(open.held, 0)
        """,
    ),
    Invariant(
        "completed_has_assets",
        "A completed task has an asset that the user paid for",
        """
        SELECT t.id::text AS subject FROM tasks t WHERE t.status = 'completed'
        AND NOT EXISTS (SELECT 1 FROM task_assets a WHERE a.task_id = t.id AND a.role = 'primary')
        """,
    ),
    Invariant(
        "final_has_its_mail",
        "A task that ended an hour ago or more has its mail, where the user has an address and wants mails",
        """
        SELECT t.id::text AS subject FROM tasks t JOIN users u ON u.id = t.user_id
        WHERE t.finished_at BETWEEN now() - interval '7 days' AND now() - interval '1 hour' AND u.notify
            AND u.email IS NOT NULL
            AND t.status IN ('completed', 'failed', 'cancelled', 'expired', 'asset_lost', 'timed_out')
            AND EXISTS (SELECT 1 FROM deliveries WHERE channel = 'email')
            AND NOT EXISTS (
                SELECT 1 FROM deliveries d WHERE d.task_id = t.id AND d.channel = 'email' AND d.state = 'sent'
            )
        """,
    ),
    Invariant(
        "runs_end",
        "No run goes on ten minutes after its deadline",
        """
        SELECT id::text AS subject FROM cron_job_executions
        WHERE status = 'running' AND deadline_at < now() - interval '10 minutes'
        """,
    ),
    Invariant(
        "messages_leave",
        "No message waits in the outbox for an hour",
        "SELECT id::text AS subject FROM outbox WHERE created_at < now() - interval '1 hour'",
    ),
)
