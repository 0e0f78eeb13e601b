"""What became of one claim: everything settling needs, and nothing that still has to be asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from backstop_recovery.domain.asset import StoredAsset
from backstop_recovery.domain.decision import Ending
from backstop_recovery.domain.task import Denial, Task
from backstop_recovery.domain.verdict import UnknownReason


@dataclass(frozen=True, slots=True)
class Completed:
    """All outputs are stored; `warnings` tell what the provider or an optional output lacked."""

    task: Task
    verdict: str
    assets: tuple[StoredAsset, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """Final without an asset. `look_again_seconds`: when to ask whether it succeeded after all."""

    task: Task
    verdict: str
    ending: Ending
    code: str | None
    message: str
    look_again_seconds: float | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StillOpen:
    """The provider is not done with it (or denies it, not often enough yet)."""

    task: Task
    verdict: str
    recheck_seconds: float
    message: str
    denied: Denial | None = None


@dataclass(frozen=True, slots=True)
class Errored:
    """We did not get through; it is tried again, unless it `needs_attention`.

    `available_until` is when the provider says that the outputs go: the next claim has to come before.
    """

    task: Task
    verdict: str
    recheck_seconds: float
    code: str
    message: str
    own: bool
    needs_attention: bool = False
    denied: Denial | None = None
    available_until: datetime | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Withheld:
    """It would have ended like this, but a person has to agree first: it stays open and nothing moves."""

    task: Task
    verdict: str
    ending: Ending
    code: str | None
    message: str
    recheck_seconds: float


Resolution = Completed | Ended | StillOpen | Errored | Withheld


def status_of(resolution: Resolution) -> str:
    """The task's status after it."""
    match resolution:
        case Completed():
            return "completed"
        case Ended(ending=ending):
            return ending.value
        case Errored(needs_attention=True):
            return "needs_attention"
        case StillOpen() | Errored() | Withheld():
            return "processing"


def outcome_of(resolution: Resolution) -> str:
    """The outcome's word in metrics and timelines."""
    match resolution:
        case StillOpen():
            return "still_processing"
        case Withheld():
            return "withheld"
        case Errored(needs_attention=False):
            return "error"
        case _:
            return status_of(resolution)


def is_provider_down(resolution: Resolution) -> bool:
    """Whether the task could not be asked about because its provider is down: the run is degraded."""
    return isinstance(resolution, Errored) and resolution.code == UnknownReason.PROVIDER_DOWN


def counted_as(resolution: Resolution) -> str:
    """The field of the run's results that counts it (`failed` is the provider's doing, `errors` is ours)."""
    match resolution:
        case Completed():
            return "completed"
        case Ended():
            return "failed"
        case StillOpen() | Withheld():
            return "stillProcessing"
        case Errored():
            return "errors"
