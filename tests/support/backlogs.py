"""Many stuck tasks at once, in one statement: nothing is due for them but an answer."""

from __future__ import annotations

from backstop_common.database import Transactions

_TASKS = """
    INSERT INTO tasks (id, user_id, kind, provider, provider_task_id, credits, billing, submitted_at, next_check_at,
        output_deadline_at)
    SELECT gen_random_uuid(), 'ada', 'image', :provider, :provider || n, 0, 'none',
        now() - make_interval(secs => 7200 - n * 0.001), now() - interval '1 hour',
        CASE WHEN n % 3 = 0 THEN now() + make_interval(secs => n % 977) END
    FROM generate_series(0, :count - 1) n
"""


async def add_backlog(transactions: Transactions, **counts: int) -> None:
    """So many tasks of each provider, of one user, due for an hour; the provider knows the nth by its name and n."""
    async with transactions.begin() as tx:
        await tx.execute("INSERT INTO users (id) VALUES ('ada') ON CONFLICT DO NOTHING")
        for provider, count in counts.items():
            await tx.execute(_TASKS, provider=provider, count=count)
