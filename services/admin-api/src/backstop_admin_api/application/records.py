"""What apps tell us, as one schema for HTTP and for import files: users, grants of credits, tasks.

camelCase outside. Unknown fields are refused: a misspelt `providerTaskId` must not become a task without one. Text that
PostgreSQL cannot keep (NUL, lone surrogates) and numbers JSON cannot write (NaN) are refused here.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

Billing = Literal["hold", "on_success", "prepaid", "none"]
Kind = Literal["image", "video"]

MOST_CREDITS = 10**12
_FIRST_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)
_CONTROL = re.compile("[\\x00-\\x1f\\x7f]")
_UNSTORABLE = re.compile("[\\x00\\ud800-\\udfff]")


def _plain(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("it holds control characters; leave them out")
    return text


def _storable(value: dict[str, Any]) -> dict[str, Any]:
    _check(value)
    return value


def _check(value: object) -> None:
    match value:
        case dict():
            for key, item in value.items():
                _check(key)
                _check(item)
        case list():
            for item in value:
                _check(item)
        case str():
            if _UNSTORABLE.search(value):
                raise ValueError("it holds characters that cannot be stored (NUL or half a surrogate pair)")
        case float() if not math.isfinite(value):
            raise ValueError("it holds a number that JSON does not have (NaN or Infinity)")
        case _:
            pass


def _since_2000(moment: datetime) -> datetime:
    if moment < _FIRST_MOMENT:
        raise ValueError("it is before the year 2000")
    return moment


UserId = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\s\x00-\x1f\x7f]+$")]
Email = Annotated[str, StringConstraints(max_length=254, pattern=r'^[^\s@<>()\[\],;:"\\]+@[^\s@<>()\[\],;:"\\]+$')]
Line = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_plain)]
Locale = Annotated[str, StringConstraints(max_length=35, pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$")]
Credits = Annotated[int, Field(strict=True, ge=0, le=MOST_CREDITS)]
Metadata = Annotated[dict[str, Any], AfterValidator(_storable)]
Moment = Annotated[AwareDatetime, AfterValidator(_since_2000)]


class Record(BaseModel):
    """camelCase outside, snake_case inside, nothing unknown."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True
    )


class UserRecord(Record):
    """A user of the app. What is left out stays as it is; a new user gets the defaults `en` and `true`."""

    email: Email | None = None
    name: Line | None = None
    locale: Locale = "en"
    notify: Annotated[bool, Field(strict=True, description="Whether mails are sent.")] = True


class NewUser(Record):
    """Whom to create when a task's user is not there yet; a user who is there is not changed."""

    email: Email | None = None
    name: Line | None = None


class GrantRecord(Record):
    """Credits to add. The same `referenceId` adds them once, however often it is sent."""

    amount: Annotated[int, Field(strict=True, ge=1, le=MOST_CREDITS)]
    reason: Line | None = None
    reference_id: Line


class TaskRecord(Record):
    """A generation the app has asked a provider for."""

    id: UUID | None = Field(default=None, description="Made when it is left out; sending it makes repeats harmless.")
    user_id: UserId
    kind: Kind
    provider: Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_plain)]
    provider_task_id: (
        Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\s\x00-\x1f\x7f]+$")] | None
    ) = Field(default=None, description="The provider's id; null when the provider has not given one.")
    credits: Credits = 0
    billing: Billing = Field(
        description="`hold` freezes the credits now and charges them on success; `on_success` charges then;"
        " `prepaid` were taken by the app before and are refunded on failure; `none` moves nothing."
    )
    submitted_at: Moment | None = Field(default=None, description="Now when it is left out.")
    metadata: Metadata = Field(
        default={}, description="Kept with the task; holds what the provider needs beyond the id (fal: `app`)."
    )
    user: NewUser | None = None

    @model_validator(mode="after")
    def _says_its_credits(self) -> TaskRecord:
        if self.billing != "none" and "credits" not in self.model_fields_set:
            raise ValueError(f"credits is missing; billing {self.billing} needs it")
        return self


class ImportedUser(UserRecord):
    """A user line of an import file; `balance` is the opening balance, posted once."""

    id: UserId
    balance: Credits | None = None


class ImportedTask(TaskRecord):
    """A task line of an import file: it names its id, so that the file can be imported twice."""

    id: UUID


def id_of(task: TaskRecord) -> UUID:
    """The id of a task that has one.

    Raises:
        ValueError: it has none yet.
    """
    if task.id is None:
        raise ValueError("the task has no id yet")
    return task.id
