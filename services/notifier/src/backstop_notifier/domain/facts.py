"""What a delivery's `payload` holds: facts, never rendered text, so that wording can change until the message leaves.

`as_payload` and `from_payload` are inverses; unknown fields are ignored, and a payload that lacks one raises KeyError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class AssetFact:
    """One stored output; `url` is None when the bucket has no public address."""

    role: str
    content_type: str
    url: str | None


@dataclass(frozen=True, slots=True)
class CompletedFacts:
    """A task whose outputs are there. `media` is `video` or `image`."""

    name: str | None
    media: str
    assets: tuple[AssetFact, ...]
    credits_charged: int

    def as_payload(self) -> dict[str, Any]:
        """JSON types only."""
        return asdict(self)

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """The facts of a stored payload."""
        assets = tuple(AssetFact(one["role"], one["content_type"], one["url"]) for one in payload["assets"])
        return cls(payload["name"], payload["media"], assets, payload["credits_charged"])


@dataclass(frozen=True, slots=True)
class FailedFacts:
    """A task that ended without outputs. `outcome`: `failed`, `cancelled`, `expired`, `asset_lost` or `timed_out`."""

    name: str | None
    media: str
    outcome: str
    message: str
    credits_returned: int

    def as_payload(self) -> dict[str, Any]:
        """JSON types only."""
        return asdict(self)

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """The facts of a stored payload."""
        return cls(
            payload["name"], payload["media"], payload["outcome"], payload["message"], payload["credits_returned"]
        )


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The run an alert speaks of."""

    id: str
    status: str
    duration_ms: int | None
    error_message: str | None
    completed: int
    failed: int
    errors: int

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """The facts of a stored payload."""
        return cls(
            payload["id"],
            payload["status"],
            payload["duration_ms"],
            payload["error_message"],
            payload["completed"],
            payload["failed"],
            payload["errors"],
        )


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """An incident, open or resolved; `run` is the run that opened it, or the one that resolved it."""

    rule: str
    job_name: str
    provider: str | None
    summary: str
    run: RunFacts | None
    opened_at: datetime
    resolved_at: datetime | None = None

    def as_payload(self) -> dict[str, Any]:
        """JSON types only; moments in UTC."""
        return {
            **asdict(self),
            "opened_at": self.opened_at.astimezone(UTC).isoformat(),
            "resolved_at": self.resolved_at.astimezone(UTC).isoformat() if self.resolved_at else None,
        }

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """The facts of a stored payload."""
        run, resolved_at = payload["run"], payload["resolved_at"]
        return cls(
            rule=payload["rule"],
            job_name=payload["job_name"],
            provider=payload["provider"],
            summary=payload["summary"],
            run=RunFacts.from_payload(run) if run else None,
            opened_at=datetime.fromisoformat(payload["opened_at"]),
            resolved_at=datetime.fromisoformat(resolved_at) if resolved_at else None,
        )
