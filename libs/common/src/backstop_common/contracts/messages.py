"""Commands (`tick.due`, `run.sweep`, `task.check`) and events (past participles) of the system.

Moments are RFC 3339 with offset; durations of runs are milliseconds, as in the table `cron_job_executions`.
"""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from backstop_common.contracts.message import Message

RunStatus = Literal["completed", "failed"]
TaskKind = Literal["image", "video"]
Trigger = Literal["schedule", "manual", "cron"]


class RunResults(BaseModel):
    """What a run did, counted in tasks: `failed` is the provider's doing, `errors` is ours."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    completed: int = 0
    failed: int = 0
    still_processing: int = 0
    errors: int = 0
    total_found: int = 0


class Asset(BaseModel):
    """One stored output. `key` is below the root of the app's bucket; `sha256` is lower-case hex."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    index: int = Field(ge=0)
    role: str
    key: str
    url: str | None = None
    content_type: str
    size_bytes: int = Field(ge=0)
    sha256: str


class TickDue(Message):
    """A job's slot is due: start one run for it. A dry run asks about every stuck task and changes none."""

    type: ClassVar[str] = "tick.due"

    tick_id: UUID
    job_name: str
    slot: str
    trigger: Trigger
    actor: str | None = None
    scheduled_for: AwareDatetime
    dry_run: bool = False


class RunSweep(Message):
    """A doorbell: tasks of this run may be waiting in the database."""

    type: ClassVar[str] = "run.sweep"

    run_id: UUID
    bell: int = Field(ge=0)


class TaskCheck(Message):
    """A doorbell for one task: check it now (a provider's webhook, or a person's wish)."""

    type: ClassVar[str] = "task.check"

    task_id: UUID
    reason: str
    actor: str | None = None


class ActOnTask(Message):
    """What a person decided about one open task: look at it again, end it as failed, or leave it alone for good."""

    type: ClassVar[str] = "task.act"

    task_id: UUID
    action: Literal["recover", "fail", "ignore"]
    actor: str
    note: str | None = None


class LiftHold(Message):
    """What a person decided about withheld failures: let them end, or ask their providers once more."""

    type: ClassVar[str] = "hold.lift"

    hold_id: UUID
    decision: Literal["approve", "recheck"]
    actor: str
    note: str


class RunStarted(Message):
    """A run exists and its horizon is fixed."""

    type: ClassVar[str] = "run.started"

    run_id: UUID
    job_name: str
    trigger: Trigger
    actor: str | None = None
    scheduled_for: AwareDatetime
    started_at: AwareDatetime
    dry_run: bool = False


class RunFinished(Message):
    """A run reached its final state; the counts are final too. Degraded: some providers were down while it ran.

    The counts of a dry run tell what would have become of the tasks: nothing did.
    """

    type: ClassVar[str] = "run.finished"

    run_id: UUID
    job_name: str
    status: RunStatus
    trigger: Trigger
    actor: str | None = None
    scheduled_for: AwareDatetime
    started_at: AwareDatetime
    completed_at: AwareDatetime
    duration_ms: int = Field(ge=0)
    results: RunResults
    error_message: str | None = None
    degraded_providers: tuple[str, ...] = ()
    dry_run: bool = False


class TaskCompleted(Message):
    """A task's outputs are in the app's bucket and its credits are settled."""

    type: ClassVar[str] = "task.completed"

    task_id: UUID
    user_id: str
    kind: TaskKind
    provider: str
    run_id: UUID | None = None
    credits_charged: int = Field(ge=0)
    assets: tuple[Asset, ...]
    submitted_at: AwareDatetime
    finished_at: AwareDatetime


class TaskFailed(Message):
    """A task will never have its outputs; its credits are back."""

    type: ClassVar[str] = "task.failed"

    task_id: UUID
    user_id: str
    kind: TaskKind
    provider: str
    run_id: UUID | None = None
    outcome: Literal["failed", "cancelled", "expired", "asset_lost", "timed_out"]
    code: str | None = None
    message: str
    credits_returned: int = Field(ge=0)
    submitted_at: AwareDatetime
    finished_at: AwareDatetime


class TaskNeedsAttention(Message):
    """Backstop failed on a task too often; a person has to look."""

    type: ClassVar[str] = "task.needs-attention"

    task_id: UUID
    user_id: str
    kind: TaskKind
    provider: str
    run_id: UUID | None = None
    reason: str


class IncidentOpened(Message):
    """Operators should look. One per rule, job and provider until it is resolved."""

    type: ClassVar[str] = "incident.opened"

    incident_id: UUID
    rule: str
    job_name: str
    provider: str | None = None
    run_id: UUID | None = None
    summary: str
    opened_at: AwareDatetime


class IncidentResolved(Message):
    """The condition of an incident is over."""

    type: ClassVar[str] = "incident.resolved"

    incident_id: UUID
    rule: str
    job_name: str
    provider: str | None = None
    run_id: UUID | None = None
    summary: str
    opened_at: AwareDatetime
    resolved_at: AwareDatetime


MESSAGES: dict[str, type[Message]] = {
    message.type: message
    for message in (
        TickDue,
        RunSweep,
        TaskCheck,
        ActOnTask,
        LiftHold,
        RunStarted,
        RunFinished,
        TaskCompleted,
        TaskFailed,
        TaskNeedsAttention,
        IncidentOpened,
        IncidentResolved,
    )
}
"""Every message by its wire name."""
