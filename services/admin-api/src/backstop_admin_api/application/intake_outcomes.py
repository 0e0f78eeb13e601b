"""What can become of a task that an app registers."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Registered:
    """The task is new."""

    id: UUID


@dataclass(frozen=True, slots=True)
class AlreadyKnown:
    """The same task was registered before; nothing was changed."""

    id: UUID


@dataclass(frozen=True, slots=True)
class Differs:
    """A task of this id is there, and this field of it is another; or the provider's id belongs to another task."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Invalid:
    """The record cannot be taken as it is; the message has the remedy."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class NotEnoughCredits:
    """The user's account cannot bear the hold."""

    required: int
    available: int


Refusal = Differs | Invalid | NotEnoughCredits
"""Nothing of the call may stay."""

Outcome = Registered | AlreadyKnown | Refusal
