"""List runs, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backstop_admin_api.application.run import RUN_COLUMNS, Run
from backstop_admin_api.domain import RunCursor
from backstop_common.database import Transactions


@dataclass(frozen=True, slots=True)
class RunPage:
    """Some runs, and where the older ones begin (None when these are the last)."""

    runs: Sequence[Run]
    next: RunCursor | None


@dataclass(frozen=True, slots=True)
class ListRuns:
    """One page by keyset: as fast on the last page as on the first, and stable while runs are added.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions

    async def __call__(
        self,
        *,
        job_name: str | None,
        status: str | None,
        limit: int,
        cursor: RunCursor | None,
        dry_run: bool | None = None,
    ) -> RunPage:
        """At most `limit` runs behind the cursor; with `dry_run`, only dry runs or only the others."""
        parameters: dict[str, object] = {"limit": limit + 1}
        conditions = ["true"]
        if job_name is not None:
            conditions.append("job_name = :job_name")
            parameters["job_name"] = job_name
        if status is not None:
            conditions.append("status = :status")
            parameters["status"] = status
        if dry_run is not None:
            conditions.append("dry_run = :dry_run")
            parameters["dry_run"] = dry_run
        if cursor is not None:
            conditions.append("(started_at, id) < (:started_at, :id)")
            parameters |= {"started_at": cursor.started_at, "id": cursor.id}
        async with self.transactions.read() as reading:
            rows = await reading.rows(
                f"SELECT {RUN_COLUMNS} FROM cron_job_executions WHERE {' AND '.join(conditions)}"  # noqa: S608 - constants only
                " ORDER BY started_at DESC, id DESC LIMIT :limit",
                **parameters,
            )
        runs = [Run.of(row) for row in rows[:limit]]
        return RunPage(runs, RunCursor(runs[-1].started_at, runs[-1].id) if len(rows) > limit else None)
