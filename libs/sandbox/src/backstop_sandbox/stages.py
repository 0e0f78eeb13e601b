"""Which stage a generation is in when it is asked about. Pure: the script and the number of the poll decide."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from backstop_sandbox.script import Behaviour, Script

TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500


class Stage(StrEnum):
    QUEUED = "queued"
    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    TROUBLE = "trouble"
    UNKNOWN = "unknown"


FINAL_STAGE = {
    Behaviour.SUCCEEDED: Stage.SUCCEEDED,
    Behaviour.SUCCEEDED_SEVERAL: Stage.SUCCEEDED,
    Behaviour.SLOW: Stage.SUCCEEDED,
    Behaviour.FLAKY: Stage.SUCCEEDED,
    Behaviour.PROCESSING: Stage.RUNNING,
    Behaviour.FAILED: Stage.FAILED,
    Behaviour.CANCELLED: Stage.CANCELLED,
    Behaviour.EXPIRED: Stage.EXPIRED,
    Behaviour.UNKNOWN_ID: Stage.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back over HTTP: status code, JSON body, extra headers."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trouble:
    """The provider itself is unwell: an HTTP status, and for 429 the seconds to wait."""

    status: int
    retry_after_seconds: int = 1

    @property
    def headers(self) -> dict[str, str]:
        if self.status != TOO_MANY_REQUESTS:
            return {}
        return {"Retry-After": str(self.retry_after_seconds), "X-RateLimit-Reset": str(self.retry_after_seconds)}


@dataclass(frozen=True, slots=True)
class View:
    """A generation at the moment of one poll; `origin` is the sandbox's own address without a trailing slash."""

    script: Script
    stage: Stage
    poll: int
    origin: str
    registered_at: datetime
    now: datetime

    @property
    def output_urls(self) -> list[str]:
        script = self.script
        return [f"{self.origin}{output_path(script, index)}" for index in range(script.outputs)]


def output_path(script: Script, index: int) -> str:
    return f"/files/{script.key}/{index}.{script.extension}"


def stage_at(script: Script, poll: int) -> Stage:
    """The stage at the given poll, counted from 1. A running generation is first queued, then waiting, then running."""
    if script.behaviour is Behaviour.FLAKY and poll <= script.failing_polls:
        return Stage.TROUBLE
    if script.behaviour is Behaviour.PROCESSING:
        return {1: Stage.QUEUED, 2: Stage.WAITING}.get(poll, Stage.RUNNING)
    return FINAL_STAGE[script.behaviour]


def final_stage(script: Script) -> Stage:
    """Where the generation ends up, however often it is asked about."""
    return FINAL_STAGE[script.behaviour]


def trouble_at(script: Script, poll: int) -> Trouble:
    """A flaky provider throttles on odd polls and breaks on even ones, unless the script fixes the status."""
    status = script.failing_status or (TOO_MANY_REQUESTS if poll % 2 else SERVER_ERROR)
    return Trouble(status, script.retry_after_seconds)
