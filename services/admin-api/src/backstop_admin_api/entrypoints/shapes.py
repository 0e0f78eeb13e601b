"""The JSON outsiders see: camelCase, RFC 3339 times in UTC, durations in milliseconds."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

RunStatus = Literal["running", "completed", "failed", "skipped", "missed"]
JobName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._-]+$")]

StuckCause = Literal[
    "webhook_lost", "provider_slow", "provider_trouble", "provider_denies", "never_submitted", "own_trouble"
]
DEFAULT_JOB = "process-stuck-tasks"


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("it holds a NUL character, which cannot be stored")
    return text


Storable = AfterValidator(_without_nul)
"""Text that PostgreSQL takes."""


class Shape(BaseModel):
    """camelCase outside, snake_case inside; made from the objects of the application layer."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True, frozen=True)


class Counts(Shape):
    """Tasks of a run: `failed` is the provider's doing, `errors` is ours."""

    completed: int
    failed: int
    still_processing: int
    errors: int


class CountsWithTotal(Counts):
    """The counts, and how many tasks the run found."""

    total_found: int


class Accepted(Shape):
    """A run was asked for and is not over yet; look at `GET /api/admin/cron-jobs/{executionId}`."""

    success: Literal[True] = True
    message: str
    execution_id: UUID


class Finished(Shape):
    """A run that is over; `success` tells whether it completed."""

    success: bool
    message: str
    status: RunStatus
    results: Counts
    total_found: int
    duration: int = Field(description="Milliseconds.")
    execution_id: UUID


class Execution(Shape):
    """One run. `duration` is milliseconds, null while it goes on; the results of a dry run are what would have been."""

    id: UUID
    job_name: str
    started_at: datetime
    completed_at: datetime | None
    duration: int | None
    status: RunStatus
    results: CountsWithTotal
    error_message: str | None
    degraded_providers: list[str] = Field(description="Providers that were down while it ran.")
    created_at: datetime
    trigger: Literal["schedule", "manual", "cron"]
    actor: str | None
    dry_run: bool = Field(description="It asked about every stuck task and changed none.")
    scheduled_for: datetime
    heartbeat_at: datetime


class ReportLine(Shape):
    """The tasks of one provider that a run would bring to one outcome."""

    provider: str
    outcome: str
    tasks: int
    credits_charged: int
    credits_returned: int


class BlastRadius(Shape):
    """The limit on endings in one run, and whether a run would have stopped at it and asked a person."""

    limit_percent: int
    min_failed: int
    would_stop: bool
    is_held: bool = Field(description="Failures were held: a run would have withheld these endings.")


class Report(Shape):
    """What a run would have done. Files were not fetched: a success counts as if all of them could be copied."""

    tasks: int = Field(description="Asked about.")
    endings: int = Field(description="Would have ended without a file: failed, cancelled, expired, ...")
    credits_charged: int
    credits_returned: int = Field(description="Released or refunded.")
    lines: list[ReportLine] = Field(description="By provider and outcome.")
    blast_radius: BlastRadius | None


class ExecutionWithReport(Execution):
    """One run, and the report of a dry run (so far, while it goes on)."""

    report: Report | None


class Stats(Shape):
    """Over all runs of the job (or of all jobs), not over the page."""

    total_executions: int = Field(description="Runs that started; skipped and missed slots are none.")
    success_rate: float = Field(description="Completed of completed and failed runs, percent; 0 before the first.")
    avg_duration: int = Field(description="Of completed and failed runs, milliseconds; 0 before the first.")
    total_tasks_recovered: int
    total_tasks_failed: int
    error_rate: float = Field(description="Our own errors of all tasks found, percent; 0 before the first.")


class Executions(Shape):
    """A page of runs, newest first. `nextCursor` is null on the last page."""

    executions: list[Execution]
    stats: Stats
    next_cursor: str | None


class ExecutionTask(Shape):
    """What a run found out about a task last; `status` is what the task is now.

    Of a dry run: what would have become of it, with `settlement` and `credits` in the detail.
    """

    task_id: UUID
    provider: str
    kind: Literal["image", "video"]
    status: str
    stuck_cause: StuckCause | None = Field(description="Why it was stuck, by what its first check found.")
    verdict: str | None
    outcome: str | None
    detail: dict[str, Any]
    at: datetime


class ExecutionTasks(Shape):
    """A page of the tasks of a run. `nextCursor` is null on the last page."""

    tasks: list[ExecutionTask]
    next_cursor: str | None


class JobShape(Shape):
    """A schedule. `nextSlot` is null while it is paused; `lastSlot` is the newest one the scheduler ticked."""

    name: str
    schedule: str
    schedule_in_words: str
    timezone: str
    overlap: Literal["skip", "allow"]
    paused: bool = Field(validation_alias="is_paused")
    paused_at: datetime | None
    paused_by: str | None
    pause_note: str | None
    next_slot: datetime | None
    last_slot: datetime | None
    last_run: Execution | None


class Jobs(Shape):
    """All jobs."""

    jobs: list[JobShape]


class TriggerRequest(Shape):
    """What to run. Unknown fields are refused: a misspelt `dryRun` must not start a run that changes things."""

    model_config = ConfigDict(extra="forbid")

    job_name: JobName = DEFAULT_JOB
    dry_run: bool = Field(
        default=False,
        description="Ask about every stuck task and report what a run would do, without doing any of it.",
    )


class Problem(BaseModel):
    """RFC 9457. `executionId` is the active run of a 409, `errors` are the fields of a 422."""

    type: str
    title: str
    status: int
    detail: str
    executionId: UUID | None = None  # noqa: N815 - the member's name on the wire
    errors: list[dict[str, str]] | None = None
