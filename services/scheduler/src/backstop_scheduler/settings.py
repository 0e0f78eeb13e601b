"""What the scheduler can be told. Every default runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from backstop_common.settings import PortNumber, SharedSettings
from backstop_scheduler.domain import parse_schedule, parse_zone


def _schedule(value: str) -> str:
    return parse_schedule(value, "UTC").expression


def _zone(value: str) -> str:
    return parse_zone(value).key


class SchedulerSettings(SharedSettings):
    """Read once, in `main`."""

    port: PortNumber = Field(default=9101, alias="BACKSTOP_SCHEDULER_PORT")
    schedule: Annotated[str, AfterValidator(_schedule)] = Field(default="*/10 * * * *", alias="BACKSTOP_SCHEDULE")
    timezone: Annotated[str, AfterValidator(_zone)] = Field(default="UTC", alias="BACKSTOP_SCHEDULE_TIMEZONE")
    catch_up_seconds: int = Field(default=3600, alias="BACKSTOP_CATCH_UP_SECONDS", ge=10, le=7 * 86_400)
