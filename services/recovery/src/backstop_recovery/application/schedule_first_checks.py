"""Decide when a new task is stuck for the first time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backstop_common.database import Transactions

_OPEN_PER_TURN = 100
_CHUNK = 10_000

# An array instead of a join, and what a user has open as one more line of theirs: where the planner guesses one row for
# ten thousand, as it does in a table it has never analysed, joins of new tasks with themselves take minutes.
_STAMP = """
    WITH patience AS (
        SELECT * FROM unnest(CAST(:providers AS text[]), CAST(:kinds AS text[]), CAST(:stuck_afters AS float8[]),
            CAST(:ttls AS float8[])) AS p (provider, kind, stuck_after, ttl)
    ), oldest AS (
        SELECT id FROM tasks WHERE status = 'processing' AND next_check_at IS NULL ORDER BY submitted_at LIMIT :chunk
    ), new AS (
        SELECT t.id, t.user_id, t.provider, t.submitted_at, coalesce(p.stuck_after, :default) AS stuck_after,
            coalesce(t.output_deadline_at, t.submitted_at + make_interval(secs => p.ttl)) AS deadline
        FROM tasks t LEFT JOIN patience p ON p.provider = t.provider AND p.kind = t.kind
        WHERE t.id = ANY (ARRAY(SELECT id FROM oldest)) AND t.status = 'processing' AND t.next_check_at IS NULL
        ORDER BY t.id FOR UPDATE OF t
    ), known AS (
        SELECT user_id, provider, known.open
        FROM (SELECT DISTINCT user_id, provider FROM new) owner CROSS JOIN LATERAL (
            SELECT count(*) AS open FROM tasks t WHERE t.status = 'processing' AND t.next_check_at IS NOT NULL
                AND t.user_id = owner.user_id AND t.provider = owner.provider
        ) known
    ), numbered AS (
        SELECT id, stuck_after, deadline, max(open) OVER owner - 1
            + row_number() OVER (owner ORDER BY open NULLS FIRST, deadline NULLS LAST, submitted_at, id) AS number
        FROM (
            SELECT id, user_id, provider, submitted_at, stuck_after, deadline, CAST(NULL AS bigint) AS open FROM new
            UNION ALL SELECT NULL, user_id, provider, NULL, NULL, NULL, open FROM known
        ) rows WINDOW owner AS (PARTITION BY user_id, provider)
    )
    UPDATE tasks SET
        next_check_at = tasks.submitted_at + make_interval(secs => numbered.stuck_after),
        output_deadline_at = numbered.deadline, turn = numbered.number / :per_turn
    FROM numbered WHERE tasks.id = numbered.id
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
    3. `turn` becomes the number of open tasks the user has at this provider already, by hundreds: the first hundred of
       each user are claimed before anybody's hundred-and-first. Within a turn, and so for everybody with fewer than a
       hundred, outputs that expire first come first, then the oldest.

    Each new task is stamped once, the oldest first, so many at a time that no statement is long. What it costs depends
    on the new tasks and on what their own users have open, not on anybody else's backlog.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions
    patience: Sequence[Patience]
    stuck_after_seconds: float
    chunk: int = _CHUNK

    async def __call__(self) -> int:
        """How many tasks were new."""
        total = 0
        while stamped := await self._stamp():
            total += stamped
            if stamped < self.chunk:
                break
        return total

    async def _stamp(self) -> int:
        async with self.transactions.begin() as tx:
            return await tx.execute(
                _STAMP,
                providers=[row.provider for row in self.patience],
                kinds=[row.kind for row in self.patience],
                stuck_afters=[row.stuck_after_seconds for row in self.patience],
                ttls=[row.output_ttl_seconds for row in self.patience],
                default=self.stuck_after_seconds,
                chunk=self.chunk,
                per_turn=_OPEN_PER_TURN,
            )
