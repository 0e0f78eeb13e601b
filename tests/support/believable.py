"""Fifty runs as a working installation would have them, for looking at the dashboard."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

from backstop_common.database import Transactions
from tests.support.factories import JOB, Factory

_ERRORS = {
    "failed": "the run was silent for 120 s: its recovery worker is gone; its tasks wait for the next run",
    "skipped": "run 7c1f0a52-5b3e-4f0c-9a53-2d4a4d9be101 is still active",
}


async def fifty_runs(transactions: Transactions, *, running: bool = True) -> list[UUID]:
    """Ten minutes apart, the newest first; mostly quiet, a few with failures, one of each unusual kind."""
    random.seed(7)
    factory = Factory(transactions)
    now = datetime.now(UTC)
    newest = now - timedelta(minutes=now.minute % 10, seconds=now.second)
    runs = []
    for n in range(50):
        status = {0: "running" if running else "completed", 9: "failed", 17: "skipped", 31: "missed"}.get(
            n, "completed"
        )
        found = 0 if random.random() < 0.2 or status in {"skipped", "missed"} else random.randint(1, 46)
        failed = min(found, random.choice([0, 0, 0, 0, 1, 2]))
        errors = min(found - failed, random.choice([0, 0, 0, 0, 0, 1, 3]))
        still = min(found - failed - errors, random.randint(0, 5))
        runs.append(
            await factory.run(
                status=status,
                trigger={3: "manual", 21: "cron"}.get(n, "schedule"),
                started_seconds_ago=12 if n == 0 else (now - newest).total_seconds() + 600 * n - 0.4,
                duration_ms=0 if status in {"skipped", "missed"} else 180 + found * random.randint(400, 1900),
                error_message=_ERRORS.get(status),
                results={
                    "completed": found - failed - errors - still,
                    "failed": failed,
                    "stillProcessing": still,
                    "errors": errors,
                    "totalFound": found,
                },
            )
        )
    async with transactions.begin() as tx:
        await tx.execute("UPDATE cron_job_executions SET actor = 'admin' WHERE trigger = 'manual'")
        await tx.execute(
            "INSERT INTO ticks (id, job_name, slot, trigger, scheduled_for)"
            " VALUES (gen_random_uuid(), :job, 'newest', 'schedule', :newest)",
            job=JOB,
            newest=newest,
        )
    return runs


async def some_tasks(transactions: Transactions, run: UUID) -> None:
    """What a run did with nine tasks."""
    factory = Factory(transactions)
    user = await factory.user(balance=1000)
    lines = [
        ("replicate", "video", "succeeded", "completed", {}),
        ("replicate", "image", "succeeded", "completed", {}),
        ("fal", "video", "succeeded", "completed", {}),
        ("kie-market", "video", "failed", "failed", {"code": "content_policy", "message": "The prompt was refused."}),
        ("fal", "image", "processing", "still_processing", {"message": "in queue, position 4", "recheckSeconds": 60}),
        ("kie-veo", "video", "processing", "still_processing", {"recheckSeconds": 120}),
        ("replicate", "video", "unknown", "error", {"code": "timeout", "message": "no answer within 20 s"}),
        ("fal", "video", "expired", "expired", {"message": "The output was deleted by the provider after 24 h."}),
        ("replicate", "video", "succeeded", "completed", {}),
    ]
    for provider, kind, verdict, outcome, detail in lines:
        task = await factory.task(user, provider=provider, kind=kind)
        async with transactions.begin() as tx:
            await tx.execute(
                "INSERT INTO task_events (task_id, run_id, kind, verdict, outcome, detail)"
                " VALUES (:task, :run, 'checked', :verdict, :outcome, CAST(:detail AS jsonb))",
                task=task,
                run=run,
                verdict=verdict,
                outcome=outcome,
                detail=json.dumps(detail),
            )
