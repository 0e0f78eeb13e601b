"""What a provider says about one generation, normalised.

Only `Succeeded`, `Failed`, `Cancelled` and `Expired` are definitive and may move money. `StillRunning` and `NotFound`
leave the task open. `Unknown` is our ignorance (time-outs, 429, 5xx, unparsable bodies, unknown words, refused keys):
it never ends a task and counts as an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class OutputRole(StrEnum):
    """What an output is for. Only `PRIMARY` outputs are what the user paid for."""

    PRIMARY = "primary"
    THUMBNAIL = "thumbnail"
    LAST_FRAME = "last_frame"
    ORIGINAL = "original"


@dataclass(frozen=True, slots=True)
class Output:
    """One file of a successful generation: at `url`, or carried in the answer itself as `content`."""

    index: int
    role: OutputRole
    url: str | None = None
    content: bytes | None = None
    media_type: str | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Succeeded:
    """`outputs` may be empty of primary ones: a success without a file is never charged.

    `warnings` tell what is missing (a partial result, an output without an address); `available_until` is when the
    outputs go, where the answer says so.
    """

    outputs: tuple[Output, ...]
    warnings: tuple[str, ...] = ()
    available_until: datetime | None = None

    @property
    def has_primary_output(self) -> bool:
        """Whether there is anything the user would pay for."""
        return any(output.role is OutputRole.PRIMARY for output in self.outputs)


@dataclass(frozen=True, slots=True)
class Failed:
    """The provider gave up on it, in its own words."""

    message: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Stopped at the provider, by somebody or by its deadline."""

    message: str


@dataclass(frozen=True, slots=True)
class Expired:
    """It succeeded once, and the provider itself says that its outputs are gone."""

    message: str


@dataclass(frozen=True, slots=True)
class StillRunning:
    """Queued or processing; `state` is the provider's own word."""

    queued: bool
    state: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """The provider does not know the id: wrong account, too new, or expired. Never definitive alone."""

    message: str


class UnknownReason(StrEnum):
    """Why we do not know."""

    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    UNPARSABLE = "unparsable"
    UNKNOWN_STATE = "unknown_state"
    AUTH_ERROR = "auth_error"
    BAD_REFERENCE = "bad_reference"
    PROVIDER_DOWN = "provider_down"


@dataclass(frozen=True, slots=True)
class Unknown:
    """Our ignorance, with the reason and the provider's own wish about when to ask again."""

    reason: UnknownReason
    message: str
    retry_after_seconds: float | None = None


Verdict = Succeeded | Failed | Cancelled | Expired | StillRunning | NotFound | Unknown


def name_of(verdict: Verdict) -> str:  # noqa: PLR0911 - one word per verdict
    """The verdict's word in metrics, timelines and the database."""
    match verdict:
        case Succeeded():
            return "succeeded"
        case Failed():
            return "failed"
        case Cancelled():
            return "cancelled"
        case Expired():
            return "expired"
        case StillRunning(queued=queued):
            return "queued" if queued else "processing"
        case NotFound():
            return "not_found"
        case Unknown():
            return "unknown"
