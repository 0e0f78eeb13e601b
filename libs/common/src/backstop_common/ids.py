"""All derived keys, in one module: the same cause always gives the same id, and a UNIQUE constraint enforces it."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid5

_NAMESPACE = UUID("6f0c1f2e-6a55-5d0b-9a38-0b7bb5f0c0de")


def _derive(*parts: object) -> UUID:
    return uuid5(_NAMESPACE, "\x1f".join(str(part) for part in parts))


def slot_of(moment: datetime) -> str:
    """The text of a cron slot: RFC 3339 in UTC, so that one moment has one spelling."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def tick_id(job_name: str, slot: str) -> UUID:
    """The tick of a job's slot; for manual triggers the slot is the request's id."""
    return _derive("tick", job_name, slot)


def run_id(tick: UUID) -> UUID:
    """The run a tick starts; known before recovery has seen the tick, so that a trigger can answer with it."""
    return _derive("run", tick)


def hold_id(run: UUID) -> UUID:
    """The hold on failures that a run opens when it is stopped: one run, one hold."""
    return _derive("hold", run)


def event_id(message_type: str, *subject: object) -> UUID:
    """The id of a message about a subject (a task, a run, ...): a repeated step makes the same message again."""
    return _derive("event", message_type, *subject)


def transaction_id(task: UUID, kind: str) -> UUID:
    """The ledger entry of a kind for a task: posting it twice is a unique violation, never a second payment."""
    return _derive("credit", task, kind)


def delivery_id(key: str) -> UUID:
    """The delivery with this key, for example `mail:task-completed:<task>`."""
    return _derive("delivery", key)


def webhook_id(provider: str, task: UUID, delivery: str) -> UUID:
    """A provider's webhook about a task, by the provider's own id of the delivery or by what it says."""
    return _derive("webhook", provider, task, delivery)
