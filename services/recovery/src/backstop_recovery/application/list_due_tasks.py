"""List the tasks a run would take, page by page, without taking any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import RowMapping

from backstop_common.database import Transactions
from backstop_recovery.application.schedule_first_checks import Patience
from backstop_recovery.domain.task import Billing, Task

_COLUMNS = """t.id, t.user_id, t.kind, t.provider, t.provider_task_id, t.credits, t.billing, t.submitted_at, t.fence,
    t.check_count, t.error_count, t.not_found_count, t.last_denial, t.webhook_at IS NOT NULL AS told,
    t.approved_at IS NOT NULL AS approved, clock_timestamp() AS claimed_at, t.metadata"""
# An index holds the order. A planner that knows the table badly would read and sort the backlog for every page.
_IN_ORDER = "SELECT set_config('enable_sort', 'off', true)"
_DUE = f"""
    SELECT {_COLUMNS}, t.next_check_at AS moment FROM tasks t
    WHERE t.status = 'processing' AND t.next_check_at <= :horizon AND (t.next_check_at, t.id) > (:moment, :id)
    ORDER BY t.next_check_at, t.id LIMIT :limit
"""  # noqa: S608 - the columns are a constant
_NEW = f"""
    WITH patience AS (
        SELECT * FROM unnest(CAST(:providers AS text[]), CAST(:kinds AS text[]), CAST(:stuck_afters AS float8[]))
            AS p (provider, kind, stuck_after)
    )
    SELECT {_COLUMNS}, t.submitted_at AS moment
    FROM tasks t LEFT JOIN patience p ON p.provider = t.provider AND p.kind = t.kind
    WHERE t.status = 'processing' AND t.next_check_at IS NULL AND (t.submitted_at, t.id) > (:moment, :id)
    AND t.submitted_at + make_interval(secs => coalesce(p.stuck_after, :default)) <= :horizon
    ORDER BY t.submitted_at, t.id LIMIT :limit
"""  # noqa: S608 - the columns are a constant


@dataclass(frozen=True, slots=True)
class Place:
    """How far a walk has come: behind this moment and id, among the new tasks or among the stamped ones."""

    is_new: bool
    moment: datetime
    id: UUID


START = Place(is_new=True, moment=datetime.min.replace(tzinfo=UTC), id=UUID(int=0))


@dataclass(frozen=True, slots=True)
class DuePage:
    """Some tasks (perhaps none) and the place behind them; None when there are no more."""

    tasks: list[Task]
    next: Place | None


@dataclass(frozen=True, slots=True)
class ListDueTasks:
    """A keyset walk over all tasks due before a horizon; nothing but one page is in memory.

    1. New tasks that nobody has stamped with a time yet: a run would stamp them first, here their time is reckoned.
    2. Stamped ones. They come second, so that a task which is stamped meanwhile is met twice rather than never; one
       that another run checks meanwhile is due later than the horizon and falls out.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions
    patience: Sequence[Patience]
    stuck_after_seconds: float
    page_size: int = 100

    async def __call__(self, run_id: UUID, horizon: datetime, after: Place) -> DuePage:
        """The page behind a place. The tasks carry the run's id and this moment, but nobody has claimed them."""
        parameters: dict[str, object] = {"horizon": horizon, "moment": after.moment, "id": after.id}
        if after.is_new:
            parameters |= {
                "providers": [row.provider for row in self.patience],
                "kinds": [row.kind for row in self.patience],
                "stuck_afters": [row.stuck_after_seconds for row in self.patience],
                "default": self.stuck_after_seconds,
            }
        async with self.transactions.read() as reading:
            await reading.value(_IN_ORDER)
            rows = await reading.rows(_NEW if after.is_new else _DUE, limit=self.page_size, **parameters)
        return DuePage([_task(row, run_id) for row in rows], self._behind(rows, after))

    def _behind(self, rows: Sequence[RowMapping], after: Place) -> Place | None:
        if len(rows) == self.page_size:
            return Place(after.is_new, rows[-1]["moment"], rows[-1]["id"])
        return Place(is_new=False, moment=START.moment, id=START.id) if after.is_new else None


def _task(row: RowMapping, run_id: UUID) -> Task:
    values = {name: value for name, value in row.items() if name != "moment"}
    return Task(**{**values, "billing": Billing(row["billing"]), "run_id": run_id})
