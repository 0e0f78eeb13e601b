"""List the tasks a run checked, or a dry run asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from backstop_common.database import Transactions

_TASKS = """
    SELECT e.id AS event_id, e.task_id, t.provider, t.kind, t.status, t.stuck_cause, e.verdict, e.outcome, e.detail,
        e.at
    FROM task_events e JOIN tasks t ON t.id = e.task_id
    WHERE e.run_id = :run AND e.id > :after AND e.kind <> 'settled' AND (e.verdict IS NOT NULL OR e.outcome IS NOT NULL)
    AND NOT EXISTS (
        SELECT 1 FROM task_events later
        WHERE later.task_id = e.task_id AND later.run_id = e.run_id AND later.id > e.id AND later.kind <> 'settled'
        AND (later.verdict IS NOT NULL OR later.outcome IS NOT NULL)
    )
    ORDER BY e.id LIMIT :limit
"""


_PREVIEWS = """
    SELECT p.position AS event_id, p.task_id, p.provider, t.kind, t.status, t.stuck_cause, p.verdict, p.outcome,
        jsonb_strip_nulls(jsonb_build_object('message', p.message, 'settlement', p.settlement,
            'credits', CASE WHEN p.settlement IS NOT NULL THEN p.credits END)) AS detail, p.at
    FROM run_previews p JOIN tasks t ON t.id = p.task_id
    WHERE p.run_id = :run AND p.position > :after ORDER BY p.position LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class RunTask:
    """What a run found out about a task last; `status` is what the task is now.

    Of a dry run: what would have become of it, with the settlement and its credits in the detail.
    """

    event_id: int
    task_id: UUID
    provider: str
    kind: str
    status: str
    stuck_cause: str | None
    verdict: str | None
    outcome: str | None
    detail: dict[str, Any]
    at: datetime

    @property
    def reason(self) -> str | None:
        """The sentence of the detail, if it has one."""
        for name in ("message", "reason", "error", "code"):
            if self.detail.get(name):
                return str(self.detail[name])
        return None


@dataclass(frozen=True, slots=True)
class RunTaskPage:
    """Some tasks, and the event after which the others begin (None when these are the last)."""

    tasks: Sequence[RunTask]
    next: int | None


@dataclass(frozen=True, slots=True)
class ListRunTasks:
    """One line per task, in the order in which the run dealt with them; of a dry run its previews.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions

    async def __call__(self, run_id: UUID, *, limit: int, after: int, dry_run: bool = False) -> RunTaskPage:
        """At most `limit` tasks behind the event `after` (0: from the first)."""
        async with self.transactions.read() as reading:
            rows = await reading.rows(_PREVIEWS if dry_run else _TASKS, run=run_id, after=after, limit=limit + 1)
        tasks = [RunTask(**row) for row in rows[:limit]]
        return RunTaskPage(tasks, tasks[-1].event_id if len(rows) > limit else None)
