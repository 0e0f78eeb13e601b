"""A claimed task, as recovery sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Billing(StrEnum):
    """When the user's credits move: frozen at submission, taken on success, taken at submission, never."""

    HOLD = "hold"
    ON_SUCCESS = "on_success"
    PREPAID = "prepaid"
    NONE = "none"


class Denial(StrEnum):
    """What is denied: the provider does not know the id, or there is no file although the generation succeeded."""

    ID = "id"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Task:
    """One claim of one task. `fence` is the token of this claim: whoever holds a newer one has taken over.

    `error_count` counts failures of our own in a row, `not_found_count` the denials in a row of what `last_denial`
    names; `told` says whether the provider's webhook for it has come, `approved` whether a person agreed that it ends.
    `claimed_at` is the moment of the claim by the database's clock.
    """

    id: UUID
    user_id: str
    kind: str
    provider: str
    provider_task_id: str | None
    credits: int
    billing: Billing
    submitted_at: datetime
    fence: int
    run_id: UUID | None
    check_count: int = 0
    error_count: int = 0
    not_found_count: int = 0
    last_denial: str | None = None
    told: bool = False
    approved: bool = False
    claimed_at: datetime | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)

    @property
    def claim(self) -> tuple[UUID, int]:
        """What tells this claim from every other one, of the same task too."""
        return self.id, self.fence

    def denials_of(self, what: Denial) -> int:
        """How often this was denied in a row; denials of something else do not confirm it."""
        return self.not_found_count if self.last_denial == what else 0
