"""What a dry run found out about some tasks, for looking at its report."""

from __future__ import annotations

import json
from uuid import UUID

from backstop_common.database import Transactions
from tests.support.factories import Factory

LINES = [
    ("replicate", "video", "succeeded", "completed", "charge", 12, "1 file, not fetched"),
    ("fal", "image", "succeeded", "completed", "charge", 3, "4 files, not fetched"),
    ("kie-market", "video", "failed", "failed", "release", 10, "The prompt was refused."),
    ("fal", "image", "processing", "still_processing", None, 0, "the provider says 'IN_QUEUE'"),
    ("replicate", "video", "unknown", "error", None, 0, "replicate: no answer within 30 s"),
    ("fal", "video", "expired", "expired", "refund", 25, "The output was deleted by the provider after 24 h."),
    ("kie-veo", "video", "processing", "timed_out", "release", 10, "still 'running' at the provider after 25.0 hours"),
    ("replicate", "video", "succeeded", "completed", None, 0, "1 file, not fetched"),
]
COUNTS = {"completed": 3, "failed": 3, "stillProcessing": 1, "errors": 1, "totalFound": 8}


async def dry_run(
    transactions: Transactions,
    *,
    times: int = 1,
    status: str = "completed",
    would_stop: bool = False,
    started_seconds_ago: float = 600,
) -> UUID:
    """A dry run with its previews, each line `times` times."""
    factory = Factory(transactions)
    limit = {"limitPercent": 30, "minFailed": 5, "wouldStop": would_stop, "isHeld": False}
    run = await factory.run(
        status=status,
        trigger="manual",
        started_seconds_ago=started_seconds_ago,
        duration_ms=4200,
        heartbeat_seconds_ago=1,
    )
    user = await factory.user(balance=100_000)
    async with transactions.begin() as tx:
        await tx.execute(
            "UPDATE cron_job_executions SET dry_run = true, actor = 'admin', results = CAST(:results AS jsonb)"
            " WHERE id = :id",
            results=json.dumps({name: count * times for name, count in COUNTS.items()} | {"blastRadius": limit}),
            id=run,
        )
    for position, (provider, kind, verdict, outcome, settlement, moved, message) in enumerate(LINES * times, 1):
        task = await factory.task(user, provider=provider, kind=kind, credits=0)
        async with transactions.begin() as tx:
            await tx.execute(
                "INSERT INTO run_previews (run_id, task_id, position, provider, verdict, outcome, settlement, credits,"
                " message) VALUES (:run, :task, :position, :provider, :verdict, :outcome, :settlement, :credits,"
                " :message)",
                run=run,
                task=task,
                position=position,
                provider=provider,
                verdict=verdict,
                outcome=outcome,
                settlement=settlement,
                credits=moved,
                message=message,
            )
    return run
