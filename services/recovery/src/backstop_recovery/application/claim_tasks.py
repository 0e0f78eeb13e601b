"""Claim stuck tasks for a run, or one task on its own."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from uuid import UUID

from sqlalchemy import RowMapping

from backstop_common.database import Transaction, Transactions
from backstop_recovery.application.open_providers import OPEN_PROVIDERS
from backstop_recovery.domain.places import Places, Room, share
from backstop_recovery.domain.task import Billing, Task
from backstop_recovery.domain.walk import NEVER, Position, Walk

_FREE = "(lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())"
_RUN = "run AS (SELECT horizon_at FROM cron_job_executions WHERE id = :run AND status = 'running')"

_PROVIDERS = f"WITH RECURSIVE {OPEN_PROVIDERS} SELECT provider FROM open WHERE provider IS NOT NULL"  # noqa: S608
# Indexes hold all orders that claims need. A planner that knows the table badly would rather read and sort a backlog.
_IN_ORDER = "SELECT set_config('enable_sort', 'off', true), set_config('enable_incremental_sort', 'off', true)"
_AHEAD = f"""
    WITH {_RUN}, due AS (
        SELECT t.id FROM unnest(CAST(:providers AS text[]), CAST(:places AS int[]), CAST(:turns AS int[]),
            CAST(:deadlines AS timestamptz[]), CAST(:moments AS timestamptz[]), CAST(:ids AS uuid[]))
            AS w (provider, places, turn, deadline, submitted_at, id)
        CROSS JOIN run CROSS JOIN LATERAL (
            SELECT tasks.id FROM tasks
            WHERE status = 'processing' AND tasks.provider = w.provider
                AND (tasks.turn, coalesce(output_deadline_at, 'infinity'::timestamptz), tasks.submitted_at, tasks.id)
                    > (w.turn, coalesce(w.deadline, 'infinity'::timestamptz), w.submitted_at, w.id)
                AND next_check_at <= run.horizon_at AND {_FREE}
            ORDER BY tasks.turn, coalesce(output_deadline_at, 'infinity'::timestamptz), tasks.submitted_at, tasks.id
            LIMIT w.places FOR UPDATE SKIP LOCKED
        ) t
    )
"""  # noqa: S608 - constants
# With `provider = ...` the order would also be that of ix_tasks_due, which passes over the tasks of all others.
_BEHIND = f"""
    WITH {_RUN}, due AS (
        SELECT t.id FROM unnest(CAST(:providers AS text[]), CAST(:places AS int[])) AS w (provider, places)
        CROSS JOIN run CROSS JOIN LATERAL (
            SELECT tasks.id FROM tasks
            WHERE status = 'processing' AND tasks.provider >= w.provider
                AND (tasks.provider, next_check_at) <= (w.provider, run.horizon_at) AND {_FREE}
                AND tasks.id <> ALL (CAST(:claimed AS uuid[]))
            ORDER BY tasks.provider, next_check_at LIMIT w.places FOR UPDATE SKIP LOCKED
        ) t
    )
"""  # noqa: S608 - constants
_ALONE = f"""
    WITH due AS (SELECT id FROM tasks WHERE status = 'processing' AND {_FREE} AND id = :id FOR UPDATE SKIP LOCKED)
"""  # noqa: S608 - constants
# An array, not a join: a wrong guess of how many are due would read the whole table.
_CLAIM = """
    UPDATE tasks SET lease_holder = :holder, lease_expires_at = clock_timestamp() + make_interval(secs => :lease),
        fence = tasks.fence + 1, run_id = CAST(:run AS uuid)
    WHERE tasks.id = ANY (ARRAY(SELECT id FROM due))
    RETURNING tasks.id, user_id, kind, provider, provider_task_id, credits, billing, submitted_at, fence,
        tasks.run_id, check_count, error_count, not_found_count, last_denial, webhook_at IS NOT NULL AS told,
        approved_at IS NOT NULL AS approved, metadata, turn, nullif(output_deadline_at, 'infinity') AS deadline,
        clock_timestamp() AS claimed_at
"""
_ORDER = ("turn", "deadline")
_LOOK_BACK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Claim:
    """What was claimed, in the order of claims, and where the walk stands now."""

    tasks: list[Task]
    walk: Walk


@dataclass(frozen=True, slots=True)
class ClaimTasks:
    """Take tasks for ourselves: a lease by the database's clock, and a new fencing token for each.

    Providers share the places; within a provider, tasks go by turn (the first hundred open tasks of each user before
    anybody's hundred-and-first), then those whose outputs expire first, then the oldest. Tasks that another worker
    holds are skipped, not waited for; an expired lease is nobody's.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions
    holder: str
    lease_seconds: float
    clock: Callable[[], float] = time.monotonic

    async def for_run(self, run_id: UUID, *, limit: int) -> list[Task]:
        """Up to `limit` tasks that were due when the run started; none once the run is over."""
        return (await self.next_of_run(run_id, Walk(), Places(), limit=limit)).tasks

    async def next_of_run(self, run_id: UUID, walk: Walk, places: Places, *, limit: int) -> Claim:
        """The next tasks of a run, behind those that this walk has claimed. The work per claim does not grow.

        1. At the beginning: which providers have open tasks?
        2. Share `limit` places between the providers that the walk has not come to the end of, and claim for each from
           where it stands; places that one did not need are shared again.
        3. Places are left: look back for what the walk has passed over or never met, by when it is due; once a second
           at most while the walk goes on.
        """
        async with self.transactions.begin() as tx:
            await tx.execute(_IN_ORDER)
            if not walk.is_begun:
                walk = walk.begin(await _providers(tx))
            batch = _Batch(limit, places)
            while shares := batch.shares(walk.ahead.keys()):
                rows = await tx.rows(_AHEAD + _CLAIM, **self._parameters(run_id, shares), **_positions(walk, shares))
                walk = walk.go_on(((row["provider"], _position(row)) for row in rows), batch.take(rows, shares))
            if batch.free > 0 and (not walk.ahead or self.clock() >= walk.look_back_at):
                await self._look_back(tx, run_id, walk, batch)
                walk = walk.looked_back(self.clock() + _LOOK_BACK_SECONDS)
        return Claim([_task(row) for row in sorted(batch.rows, key=_position)], walk)

    async def one(self, task_id: UUID) -> Task | None:
        """This task, outside any run; None when it is final or somebody else has it."""
        async with self.transactions.begin() as tx:
            row = await tx.row(_ALONE + _CLAIM, id=task_id, run=None, holder=self.holder, lease=self.lease_seconds)
        return None if row is None else _task(row)

    async def open_among(self, task_ids: Collection[UUID]) -> dict[UUID, str]:
        """Those that are open, each with its provider: to claim now, or when somebody else gives them back."""
        async with self.transactions.read() as reading:
            rows = await reading.rows(
                "SELECT id, provider FROM tasks WHERE id = ANY(:ids) AND status = 'processing'", ids=list(task_ids)
            )
        return {row["id"]: row["provider"] for row in rows}

    async def _look_back(self, tx: Transaction, run_id: UUID, walk: Walk, batch: _Batch) -> None:
        behind = set(await _providers(tx)) - walk.ahead.keys()
        while shares := batch.shares(behind):
            claimed = [row["id"] for row in batch.rows]
            rows = await tx.rows(_BEHIND + _CLAIM, **self._parameters(run_id, shares), claimed=claimed)
            behind -= batch.take(rows, shares)

    def _parameters(self, run_id: UUID, shares: Mapping[str, int]) -> dict[str, object]:
        return {
            "run": run_id,
            "holder": self.holder,
            "lease": self.lease_seconds,
            "providers": list(shares),
            "places": list(shares.values()),
        }


@dataclass(slots=True)
class _Batch:
    """The rows of one claim, round by round, and what they leave of the places."""

    limit: int
    places: Places
    rows: list[RowMapping] = field(default_factory=list)
    _rooms: dict[str, Room] = field(default_factory=dict)

    @property
    def free(self) -> int:
        return self.limit - len(self.rows)

    def shares(self, providers: AbstractSet[str]) -> dict[str, int]:
        """Of the places that are free still, with what was claimed already counted as held."""
        self._rooms |= self.places.rooms(providers - self._rooms.keys())
        claimed = Counter(row["provider"] for row in self.rows)
        rooms = {name: replace(self._rooms[name], more=self._rooms[name].more - claimed[name]) for name in providers}
        return share(self.free, self.places.held + claimed, rooms)

    def take(self, rows: Sequence[RowMapping], shares: Mapping[str, int]) -> set[str]:
        """Keep a round's rows; those providers that gave fewer than they were asked for have no more."""
        self.rows += rows
        given = Counter(row["provider"] for row in rows)
        return {provider for provider, asked in shares.items() if given[provider] < asked}


async def _providers(tx: Transaction) -> list[str]:
    return [row["provider"] for row in await tx.rows(_PROVIDERS)]


def _positions(walk: Walk, shares: Mapping[str, int]) -> dict[str, object]:
    positions = [walk.ahead[provider] for provider in shares]
    return {
        "turns": [position.turn for position in positions],
        "deadlines": [None if position.deadline == NEVER else position.deadline for position in positions],
        "moments": [position.submitted_at for position in positions],
        "ids": [position.id for position in positions],
    }


def _position(row: RowMapping) -> Position:
    return Position(row["turn"], row["deadline"] or NEVER, row["submitted_at"], row["id"])


def _task(row: RowMapping) -> Task:
    values = {name: value for name, value in row.items() if name not in _ORDER}
    return Task(**{**values, "billing": Billing(row["billing"])})
