"""The JSON of users, grants and tasks, as apps see them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import Field

from backstop_admin_api.application.read_task import ReadableTask
from backstop_admin_api.application.records import Billing, Kind
from backstop_admin_api.entrypoints.shapes import Shape, StuckCause


class UserShape(Shape):
    """A user. `balance` includes the frozen credits."""

    id: str
    email: str | None
    name: str | None
    locale: str
    notify: bool
    balance: int
    frozen_balance: int
    created_at: datetime
    updated_at: datetime


class GrantShape(Shape):
    """A grant, with the balances right after it; the same for every repeat."""

    id: UUID
    user_id: str
    amount: int
    reason: str | None
    reference_id: str
    balance_after: int
    frozen_after: int
    created_at: datetime


class AssetShape(Shape):
    """One stored output. `url` is null when the bucket has no public address."""

    index: int = Field(validation_alias="output_index")
    role: str
    key: str
    url: str | None
    content_type: str
    size_bytes: int
    sha256: str
    stored_at: datetime


class EntryShape(Shape):
    """What moved in the ledger, with the account's balances right after it."""

    kind: str
    amount: int
    balance_after: int
    frozen_after: int
    created_at: datetime


class FailureShape(Shape):
    """Why a task failed, or what went wrong when it was checked last."""

    code: str | None
    message: str | None


class EventShape(Shape):
    """One line of the timeline."""

    kind: str
    at: datetime
    run_id: UUID | None
    verdict: str | None
    outcome: str | None
    detail: dict[str, Any]


class TaskShape(Shape):
    """A task and everything known about it."""

    id: UUID
    user_id: str
    kind: Kind
    provider: str
    provider_task_id: str | None
    credits: int
    billing: Billing
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
    stuck_cause: StuckCause | None = Field(
        description="Why it was stuck, by what its first check found; null when its webhook came in time."
    )
    failure: FailureShape | None
    assets: list[AssetShape]
    settlement: EntryShape | None = Field(description="The charge, release or refund; null until there is one.")
    entries: list[EntryShape] = Field(description="All that moved in the ledger for the task, the hold included.")
    timeline: list[EventShape] = Field(description="The newest 500 lines, the oldest of them first.")

    @classmethod
    def of(cls, task: ReadableTask) -> Self:
        """The shape of a task."""
        failed = task.failure_code is not None or task.failure_message is not None
        failure = FailureShape(code=task.failure_code, message=task.failure_message) if failed else None
        values = {name: getattr(task, name) for name in cls.model_fields if name != "failure"}
        return cls.model_validate({**values, "failure": failure})


class AddressedTaskShape(TaskShape):
    """A task, and where its provider may tell us about it."""

    webhook_url: str | None = Field(
        description="Where the provider may send its webhook about this task; it only makes Backstop look at once."
    )

    @classmethod
    def at(cls, task: ReadableTask, webhook_url: str | None) -> Self:
        """The shape of a task with its address."""
        return cls.model_validate({**TaskShape.of(task).model_dump(), "webhook_url": webhook_url})
