"""Decide when a new task is stuck for the first time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backstop_common.database import Transactions

_STAMP = """
    WITH patience AS (
        SELECT * FROM unnest(CAST(:providers AS text[]), CAST(:kinds AS text[]), CAST(:stuck_afters AS float8[]),
            CAST(:ttls AS float8[])) AS p (provider, kind, stuck_after, ttl)
    ), new AS (
        SELECT t.id, coalesce(p.stuck_after, :default) AS stuck_after, p.ttl
        FROM tasks t LEFT JOIN patience p ON p.provider = t.provider AND p.kind = t.kind
        WHERE t.status = 'processing' AND t.next_check_at IS NULL ORDER BY t.id FOR UPDATE OF t
    )
    UPDATE tasks SET
        next_check_at = submitted_at + make_interval(secs => new.stuck_after),
        output_deadline_at = coalesce(output_deadline_at, submitted_at + make_interval(secs => new.ttl))
    FROM new WHERE tasks.id = new.id
"""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long tasks of a provider and kind may take before somebody asks, and how long their outputs last at least.

    Both in seconds from submission; `output_ttl_seconds` is None where the provider states nothing.
    """

    provider: str
    kind: str
    stuck_after_seconds: float
    output_ttl_seconds: float | None


@dataclass(frozen=True, slots=True)
class ScheduleFirstChecks:
    """Stamp tasks that have no time for their check yet: whoever inserts a task need not know our thresholds.

    1. `next_check_at` becomes the submission plus the threshold of provider and kind, else the default.
    2. `output_deadline_at`, when nobody set it, becomes the earliest moment the provider may drop the outputs.

    Each new task is stamped once, so that claims and the end of a run look at one indexed column only.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions
    patience: Sequence[Patience]
    stuck_after_seconds: float

    async def __call__(self) -> int:
        """How many tasks were new."""
        async with self.transactions.begin() as tx:
            return await tx.execute(
                _STAMP,
                providers=[row.provider for row in self.patience],
                kinds=[row.kind for row in self.patience],
                stuck_afters=[row.stuck_after_seconds for row in self.patience],
                ttls=[row.output_ttl_seconds for row in self.patience],
                default=self.stuck_after_seconds,
            )
