"""Tasks and resolutions for tests that need no database; a test names what matters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from backstop_recovery.domain.asset import StoredAsset
from backstop_recovery.domain.decision import Ending
from backstop_recovery.domain.resolution import Completed, Ended, Errored, StillOpen
from backstop_recovery.domain.task import Billing, Denial, Task
from backstop_recovery.domain.verdict import OutputRole

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def a_task(*, age_seconds: float = 1200.0, task_id: UUID | None = None, **more: Any) -> Task:
    """A claimed task, submitted `age_seconds` before `NOW`."""
    values: dict[str, Any] = {
        "id": task_id or uuid4(),
        "user_id": "ada",
        "kind": "video",
        "provider": "replicate",
        "provider_task_id": "p-1",
        "credits": 10,
        "billing": Billing.HOLD,
        "submitted_at": NOW - timedelta(seconds=age_seconds),
        "fence": 1,
        "run_id": None,
    }
    return Task(**{**values, **more})


def an_asset(index: int = 0) -> StoredAsset:
    return StoredAsset(index, OutputRole.PRIMARY, f"videos/{index}.mp4", 3, "0" * 64, "video/mp4")


def completed(task: Task | None = None) -> Completed:
    return Completed(task or a_task(), "succeeded", (an_asset(),))


def ended(task: Task | None = None, ending: Ending = Ending.FAILED) -> Ended:
    return Ended(task or a_task(), "failed", ending, "nsfw", "refused")


def still_open(task: Task | None = None, *, denied: bool = False) -> StillOpen:
    return StillOpen(
        task or a_task(), "processing", 60.0, "the provider says 'processing'", Denial.ID if denied else None
    )


def errored(task: Task | None = None, *, own: bool = True, needs_attention: bool = False) -> Errored:
    return Errored(
        task or a_task(),
        "succeeded",
        30.0,
        "copy_failed",
        "the store is away",
        own=own,
        needs_attention=needs_attention,
    )
