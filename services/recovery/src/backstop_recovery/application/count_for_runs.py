"""Add a settled group to the results of its runs, and tell how each run stands then."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from backstop_common.database import Transaction
from backstop_recovery.domain.blast_radius import Tally
from backstop_recovery.domain.resolution import Ended, Resolution, Withheld, counted_as, is_provider_down


async def count_for_runs(tx: Transaction, settled: Sequence[Resolution]) -> dict[UUID, Tally]:
    """Add to the runs' results, in the order of their ids; a run that was closed meanwhile stays as it is.

    The tallies are of the runs that go on, with this group. Their rows are locked by now: nobody else adds to them
    before this transaction ends, so what is judged by them is exact.
    """
    counts: dict[UUID, Counter[str]] = {}
    down: dict[UUID, set[str]] = {}
    for resolution in settled:
        if resolution.task.run_id is not None:
            run = counts.setdefault(resolution.task.run_id, Counter())
            run.update(_fields(resolution))
            if is_provider_down(resolution):
                down.setdefault(resolution.task.run_id, set()).add(resolution.task.provider)
    tallies = {}
    for run_id in sorted(counts):
        results = await tx.value(
            "UPDATE cron_job_executions SET results = add_counts(results, CAST(:changes AS jsonb)),"
            " degraded_providers ="
            " ARRAY(SELECT DISTINCT unnest(degraded_providers || CAST(:down AS text[])) ORDER BY 1),"
            " heartbeat_at = clock_timestamp() WHERE id = :run AND status = 'running' RETURNING results",
            run=run_id,
            changes=json.dumps(counts[run_id]),
            down=sorted(down.get(run_id, ())),
        )
        if results is not None:
            tallies[run_id] = _tally(results)
    return tallies


def _fields(resolution: Resolution) -> list[str]:
    """The counts that a resolution adds one to; `withheld` and `approved` are parts of the others."""
    fields = [counted_as(resolution), "totalFound"]
    if isinstance(resolution, Withheld):
        fields.append("withheld")
    if isinstance(resolution, Ended) and resolution.task.approved:
        fields.append("approved")
    return fields


def _tally(results: Mapping[str, Any]) -> Tally:
    approved = int(results.get("approved", 0))
    undecided = int(results.get("withheld", 0))
    return Tally(int(results["failed"]) - approved, int(results["totalFound"]) - approved - undecided)
