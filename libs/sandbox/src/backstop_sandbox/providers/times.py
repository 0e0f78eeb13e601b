"""The clocks of a scripted generation: it was created at registration, started one second later, took eight."""

from datetime import UTC, datetime, timedelta

QUEUED_FOR = timedelta(seconds=1)
RAN_FOR = timedelta(seconds=8)


def started_at(created_at: datetime) -> datetime:
    return created_at + QUEUED_FOR


def finished_at(created_at: datetime) -> datetime:
    return created_at + QUEUED_FOR + RAN_FOR


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch_milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
