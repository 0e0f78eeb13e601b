"""Write down what a dry run found out about a group of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from backstop_common.database import Transaction
from backstop_recovery.domain.ledger import settlement_of
from backstop_recovery.domain.preview import credits_moved, message_of
from backstop_recovery.domain.resolution import Resolution, outcome_of

_LONGEST_MESSAGE = 2000

# The foreign keys lock the tasks, as settlers do, and in the same order: neither waits for the other in a circle.
_INSERT = """
    INSERT INTO run_previews (run_id, task_id, position, provider, verdict, outcome, settlement, credits, message)
    SELECT :run, p.* FROM unnest(
        CAST(:tasks AS uuid[]), CAST(:positions AS int[]), CAST(:providers AS text[]), CAST(:verdicts AS text[]),
        CAST(:outcomes AS text[]), CAST(:settlements AS text[]), CAST(:credits AS bigint[]), CAST(:messages AS text[])
    ) AS p (task_id, position, provider, verdict, outcome, settlement, credits, message)
    WHERE EXISTS (SELECT 1 FROM tasks WHERE tasks.id = p.task_id)
    ORDER BY p.task_id ON CONFLICT (run_id, task_id) DO NOTHING RETURNING task_id
"""


async def record_previews(
    tx: Transaction, run_id: UUID, resolutions: Sequence[Resolution], *, first_position: int
) -> list[Resolution]:
    """One row per task, in the order given. Returns the new ones: a task that was told of before stays as it is."""
    rows = await tx.rows(
        _INSERT,
        run=run_id,
        tasks=[resolution.task.id for resolution in resolutions],
        positions=list(range(first_position, first_position + len(resolutions))),
        providers=[resolution.task.provider for resolution in resolutions],
        verdicts=[resolution.verdict for resolution in resolutions],
        outcomes=[outcome_of(resolution) for resolution in resolutions],
        settlements=[settlement_of(resolution) for resolution in resolutions],
        credits=[credits_moved(resolution) for resolution in resolutions],
        messages=[message_of(resolution)[:_LONGEST_MESSAGE] for resolution in resolutions],
    )
    new = {row["task_id"] for row in rows}
    return [resolution for resolution in resolutions if resolution.task.id in new]
