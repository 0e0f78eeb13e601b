"""Read one task with everything that is known about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from backstop_common.database import Transactions

MOST_EVENTS = 500

_TASK = """
    SELECT id, user_id, kind, provider, provider_task_id, credits, billing, metadata, status, submitted_at, created_at,
        updated_at, finished_at, next_check_at, last_checked_at, last_verdict, check_count, failure_code,
        failure_message, stuck_cause
    FROM tasks WHERE id = :id
"""
_ASSETS = """
    SELECT output_index, role, key, content_type, size_bytes, sha256, stored_at
    FROM task_assets WHERE task_id = :id ORDER BY output_index
"""
_LEDGER = """
    SELECT kind, amount, balance_after, frozen_after, created_at FROM credit_transactions WHERE task_id = :id
    ORDER BY created_at, kind = 'hold' DESC
"""
_EVENTS = """
    SELECT * FROM (
        SELECT id, kind, run_id, verdict, outcome, detail, at FROM task_events
        WHERE task_id = :id ORDER BY id DESC LIMIT :limit
    ) newest
    UNION ALL
    SELECT NULL, channel, run_id, NULL, state, jsonb_strip_nulls(jsonb_build_object(
        'kind', kind, 'attempts', attempt_count, 'error', last_error)), coalesce(sent_at, created_at)
    FROM deliveries WHERE task_id = :id
    ORDER BY at, id
"""
_SETTLEMENTS = ("charge", "release", "refund")


@dataclass(frozen=True, slots=True)
class TaskAsset:
    """One stored output; `url` is None when the bucket has no public address."""

    output_index: int
    role: str
    key: str
    url: str | None
    content_type: str
    size_bytes: int
    sha256: str
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """What moved in the ledger for the task, with the account's balances right after it."""

    kind: str
    amount: int
    balance_after: int
    frozen_after: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """One line of the timeline; a delivery (`kind` is its channel, `outcome` its state) has no id of its own here."""

    id: int | None
    kind: str
    run_id: UUID | None
    verdict: str | None
    outcome: str | None
    detail: dict[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class ReadableTask:
    """A task, its outputs, its ledger entries and its timeline (the newest `MOST_EVENTS` lines, oldest first)."""

    id: UUID
    user_id: str
    kind: str
    provider: str
    provider_task_id: str | None
    credits: int
    billing: str
    metadata: dict[str, Any]
    status: str
    submitted_at: datetime
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    next_check_at: datetime | None
    last_checked_at: datetime | None
    last_verdict: str | None
    check_count: int
    failure_code: str | None
    failure_message: str | None
    stuck_cause: str | None
    assets: Sequence[TaskAsset]
    entries: Sequence[TaskEntry]
    timeline: Sequence[TaskEvent]

    @property
    def settlement(self) -> TaskEntry | None:
        """The one entry that settled the task; None while it is open, and when nothing had to move."""
        return next((entry for entry in self.entries if entry.kind in _SETTLEMENTS), None)


@dataclass(frozen=True, slots=True)
class ReadTask:
    """By its id, in one snapshot.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions
    assets_public_base_url: str | None = None

    async def __call__(self, task_id: UUID) -> ReadableTask | None:
        """The task, or None."""
        async with self.transactions.read() as reading:
            task = await reading.row(_TASK, id=task_id)
            if task is None:
                return None
            assets = await reading.rows(_ASSETS, id=task_id)
            entries = await reading.rows(_LEDGER, id=task_id)
            events = await reading.rows(_EVENTS, id=task_id, limit=MOST_EVENTS)
        return ReadableTask(
            **task,
            assets=[TaskAsset(**row, url=self._url(row["key"])) for row in assets],
            entries=[TaskEntry(**row) for row in entries],
            timeline=[TaskEvent(**row) for row in events],
        )

    def _url(self, key: str) -> str | None:
        return None if self.assets_public_base_url is None else f"{self.assets_public_base_url}/{key}"
