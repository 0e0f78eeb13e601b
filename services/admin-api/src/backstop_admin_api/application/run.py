"""One run as it is read, and the columns that make it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from sqlalchemy import RowMapping

RUN_COLUMNS = (
    "id, job_name, trigger, actor, dry_run, scheduled_for, started_at, completed_at, duration, status, results,"
    " error_message, degraded_providers, heartbeat_at, created_at"
)

ENDED = ("completed", "failed", "skipped", "missed")


@dataclass(frozen=True, slots=True)
class Results:
    """Tasks by what became of them in a run; `failed` is the provider's doing, `errors` is ours.

    `withheld` are those of `still_processing` that would have failed and wait for a person.
    """

    completed: int
    failed: int
    still_processing: int
    errors: int
    total_found: int
    withheld: int = 0

    @classmethod
    def of(cls, results: dict[str, Any]) -> Self:
        """The counts of the column `results`; what is missing was never counted."""
        names = ("completed", "failed", "stillProcessing", "errors", "totalFound", "withheld")
        return cls(*(int(results.get(name) or 0) for name in names))


@dataclass(frozen=True, slots=True)
class Run:
    """A row of `cron_job_executions`; `duration` is milliseconds, None while the run goes on.

    The results of a dry run tell what would have become of the tasks.
    """

    id: UUID
    job_name: str
    trigger: str
    actor: str | None
    dry_run: bool
    scheduled_for: datetime
    started_at: datetime
    completed_at: datetime | None
    duration: int | None
    status: str
    results: Results
    error_message: str | None
    degraded_providers: tuple[str, ...]
    heartbeat_at: datetime
    created_at: datetime

    @classmethod
    def of(cls, row: RowMapping) -> Self:
        """The run of a row with `RUN_COLUMNS`."""
        return cls(
            **{
                **row,
                "results": Results.of(row["results"]),
                "degraded_providers": tuple(row["degraded_providers"]),
            }
        )

    @property
    def note(self) -> str | None:
        """What is worth a line of its own: why it failed or was skipped, or who was down while it ran."""
        if self.error_message:
            return self.error_message
        return " ".join(filter(None, (self._withheld_note, self._degraded_note))) or None

    @property
    def _withheld_note(self) -> str | None:
        count = self.results.withheld
        if count == 0:
            return None
        return f"Withheld: {count:,} {'failure waits' if count == 1 else 'failures wait'} for a person's decision."

    @property
    def _degraded_note(self) -> str | None:
        if not self.degraded_providers:
            return None
        names = ", ".join(self.degraded_providers)
        verb = "was" if len(self.degraded_providers) == 1 else "were"
        return f"Degraded: {names} {verb} down. Those tasks wait; none of them has failed."

    @property
    def note_kind(self) -> str:
        """How the note is coloured."""
        return self.status if self.error_message else "degraded"

    @property
    def is_over(self) -> bool:
        """Whether nothing of it will change any more."""
        return self.status in ENDED
