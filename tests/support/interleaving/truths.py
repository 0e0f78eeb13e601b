"""What must hold after every order of two actors' steps: questions in SQL, without product code, that find nothing.

`ALWAYS` holds at any moment, `AT_REST` when nobody is left who works and recovery has been through everything.
"""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg

from tests.support.recovery import LEDGER_TRUTHS

ALWAYS: Mapping[str, str] = {
    **LEDGER_TRUTHS,
    "a final task did not stay final": """
        SELECT before ->> 'id' FROM diary.changes WHERE name = 'tasks' AND diary.is_final(before ->> 'status')
        AND (before ->> 'status') <> (after ->> 'status')""",
    "a fence went back": """
        SELECT before ->> 'id' FROM diary.changes
        WHERE name = 'tasks' AND CAST(after ->> 'fence' AS bigint) < CAST(before ->> 'fence' AS bigint)""",
    "a task was decided without a claim, or by a claim that was taken over": """
        SELECT before ->> 'id' FROM diary.changes WHERE name = 'tasks' AND diary.is_final(after ->> 'status')
        AND before ->> 'status' = 'processing' AND after ->> 'status' <> 'ignored'
        AND (before ->> 'lease_holder' IS NULL OR before ->> 'fence' <> after ->> 'fence')""",
    "a claim that was taken over told its reason": """
        SELECT id FROM tasks WHERE failure_message ~ 'claim [0-9]+$'
        AND CAST(substring(failure_message FROM 'claim ([0-9]+)$') AS bigint) <> fence""",
    "a claim that was taken over stored the asset": """
        SELECT t.id FROM tasks t JOIN task_assets a ON a.task_id = t.id
        WHERE a.key NOT LIKE '%/' || t.fence || '-%'""",
    "an asset of a task that is not completed": """
        SELECT t.id FROM tasks t JOIN task_assets a ON a.task_id = t.id WHERE t.status <> 'completed'""",
    "a final task was not told once, or wrongly, or an open or an ignored one was told": """
        SELECT t.id FROM tasks t LEFT JOIN outbox o
            ON o.type IN ('task.completed', 'task.failed') AND CAST(o.body AS jsonb) ->> 'task_id' = t.id::text
        GROUP BY t.id
        HAVING count(o.id) <> CASE WHEN diary.is_final(t.status) AND t.status <> 'ignored' THEN 1 ELSE 0 END
            OR bool_or(o.type <> CASE WHEN t.status = 'completed' THEN 'task.completed' ELSE 'task.failed' END)""",
    "a task was settled twice": """
        SELECT task_id FROM credit_transactions WHERE kind IN ('charge', 'release', 'refund')
        GROUP BY task_id HAVING count(*) > 1""",
    "a prepaid task was refunded and completed, or failed without its refund": """
        SELECT t.id FROM tasks t LEFT JOIN credit_transactions c ON c.task_id = t.id AND c.kind = 'refund'
        WHERE t.billing = 'prepaid' AND t.credits > 0
            AND (diary.is_final(t.status) AND t.status NOT IN ('completed', 'ignored')) <> (c.id IS NOT NULL)""",
    "somebody is below zero, or has more frozen than there is": """
        SELECT user_id FROM credit_accounts WHERE balance < 0 OR frozen_balance < 0 OR frozen_balance > balance""",
    "the balances after the entries do not follow each other": """
        SELECT user_id FROM (
            SELECT user_id, balance_after - balance_change AS b, frozen_after - frozen_change AS f, 1 AS d
                FROM credit_transactions
            UNION ALL SELECT user_id, balance_after, frozen_after, -1 FROM credit_transactions
            UNION ALL SELECT user_id, balance, frozen_balance, 1 FROM credit_accounts
            UNION ALL SELECT user_id, 0, 0, -1 FROM credit_accounts
        ) passed GROUP BY user_id, b, f HAVING sum(d) <> 0""",
    "a run was not told once when it was over, or was told before": """
        SELECT r.id FROM cron_job_executions r LEFT JOIN outbox o
            ON o.type = 'run.finished' AND CAST(o.body AS jsonb) ->> 'run_id' = r.id::text
        GROUP BY r.id HAVING count(o.id) <> CASE WHEN r.status IN ('completed', 'failed') THEN 1 ELSE 0 END
            OR bool_or(CAST(o.body AS jsonb) ->> 'status' <> r.status)""",
    "a run was over and went on": """
        SELECT before ->> 'id' FROM diary.changes WHERE name = 'cron_job_executions'
        AND before ->> 'status' <> 'running'""",
    "a run counted otherwise than its timeline": """
        SELECT r.id FROM cron_job_executions r
        LEFT JOIN task_events e ON e.run_id = r.id AND e.kind IN ('checked', 'withheld')
        WHERE r.status IN ('running', 'completed') GROUP BY r.id
        HAVING count(e.id) <> CAST(r.results ->> 'totalFound' AS bigint)
            OR count(e.id) FILTER (WHERE e.outcome = 'completed') <> CAST(r.results ->> 'completed' AS bigint)
            OR count(e.id) FILTER (WHERE e.outcome IN ('still_processing', 'withheld'))
                <> CAST(r.results ->> 'stillProcessing' AS bigint)
            OR count(e.id) FILTER (WHERE e.outcome IN ('error', 'needs_attention'))
                <> CAST(r.results ->> 'errors' AS bigint)""",
    "a completed run still had a task of its own": """
        SELECT r.id FROM cron_job_executions r JOIN tasks t ON t.run_id = r.id
        WHERE r.status = 'completed' AND t.lease_holder IS NOT NULL""",
    "two runs of one job are on": """
        SELECT job_name::text FROM cron_job_executions JOIN jobs ON jobs.name = job_name
        WHERE status = 'running' AND overlap = 'skip' GROUP BY job_name HAVING count(*) > 1""",
    "a run that started was not told once, with its doorbells": """
        SELECT r.id FROM cron_job_executions r LEFT JOIN outbox o
            ON o.type IN ('run.started', 'run.sweep') AND CAST(o.body AS jsonb) ->> 'run_id' = r.id::text
        WHERE r.tick_id IS NOT NULL
        GROUP BY r.id HAVING count(o.id) FILTER (WHERE o.type = 'run.started')
            <> CASE WHEN r.status = 'skipped' THEN 0 ELSE 1 END
            OR count(o.id) <> count(DISTINCT o.event_id)""",
}

AT_REST: Mapping[str, str] = {
    **ALWAYS,
    "a lease is left": "SELECT id FROM tasks WHERE lease_holder IS NOT NULL",
    "a run never ended": "SELECT id FROM cron_job_executions WHERE status = 'running'",
    "a completed run left a task that was due": """
        SELECT r.id FROM cron_job_executions r, tasks t
        WHERE r.status = 'completed' AND t.status = 'processing' AND t.next_check_at <= r.horizon_at""",
}


async def broken(connection: asyncpg.Connection, questions: Mapping[str, str]) -> dict[str, list[str]]:
    """The questions that found something, with what they found."""
    sql = " UNION ALL ".join(
        f"SELECT {number} AS number, CAST(found AS text) AS found FROM ({question}) AS q{number} (found)"  # noqa: S608
        for number, question in enumerate(questions.values())
    )
    names = list(questions)
    answers: dict[str, list[str]] = {}
    for row in await connection.fetch(sql):
        answers.setdefault(names[row["number"]], []).append(row["found"])
    return answers
