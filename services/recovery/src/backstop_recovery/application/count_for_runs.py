"""Add a settled group to the results of its runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from backstop_common.database import Transaction
from backstop_recovery.domain.resolution import Resolution, counted_as, is_provider_down


async def count_for_runs(tx: Transaction, settled: Sequence[Resolution]) -> None:
    """Add to the runs' results, in the order of their ids; a run that was closed meanwhile stays as it is."""
    counts: dict[UUID, Counter[str]] = {}
    down: dict[UUID, set[str]] = {}
    for resolution in settled:
        if resolution.task.run_id is not None:
            run = counts.setdefault(resolution.task.run_id, Counter())
            run[counted_as(resolution)] += 1
            run["totalFound"] += 1
            if is_provider_down(resolution):
                down.setdefault(resolution.task.run_id, set()).add(resolution.task.provider)
    for run_id in sorted(counts):
        await tx.execute(
            "UPDATE cron_job_executions SET results = add_counts(results, CAST(:changes AS jsonb)),"
            " degraded_providers ="
            " ARRAY(SELECT DISTINCT unnest(degraded_providers || CAST(:down AS text[])) ORDER BY 1),"
            " heartbeat_at = clock_timestamp() WHERE id = :run AND status = 'running'",
            run=run_id,
            changes=json.dumps(counts[run_id]),
            down=sorted(down.get(run_id, ())),
        )
