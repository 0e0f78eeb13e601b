"""What the world is told about a settled group of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from backstop_common.contracts import Asset, Message, TaskCompleted, TaskFailed, TaskNeedsAttention
from backstop_common.ids import event_id
from backstop_common.outbox.writing import Envelope
from backstop_recovery.domain.asset import StoredAsset
from backstop_recovery.domain.ledger import Entry
from backstop_recovery.domain.resolution import Completed, Ended, Errored, Resolution, StillOpen, Withheld
from backstop_recovery.domain.task import Task


def events_of(
    settled: Sequence[Resolution],
    entries: Sequence[Entry],
    moments: Mapping[tuple[UUID, int], datetime],
    assets_public_base_url: str | None,
) -> list[Envelope]:
    """One event per final task and per task that needs attention; nothing for what stays open.

    `moments` has the time each claim was settled; with a public base address the assets carry their links.
    """
    amounts = {entry.task_id: entry.amount for entry in entries}
    envelopes = []
    for resolution in settled:
        task = resolution.task
        message = _event(resolution, amounts.get(task.id, 0), moments[task.claim], assets_public_base_url)
        if message is not None:
            envelopes.append(Envelope.of(message, event_id=_id(message, task), correlation_id=task.run_id))
    return envelopes


def _id(message: Message, task: Task) -> UUID:
    """A task ends once, but it may need attention again after somebody retried it: then under a new fence."""
    if isinstance(message, TaskNeedsAttention):
        return event_id(message.type, task.id, task.fence)
    return event_id(message.type, task.id)


def _event(resolution: Resolution, amount: int, at: datetime, base: str | None) -> Message | None:
    task = resolution.task
    common = {
        "task_id": task.id,
        "user_id": task.user_id,
        "kind": task.kind,
        "provider": task.provider,
        "run_id": task.run_id,
    }
    final = {**common, "submitted_at": task.submitted_at, "finished_at": at}
    match resolution:
        case Completed(assets=assets):
            stored = [_asset(asset, base) for asset in assets]
            return TaskCompleted.model_validate({**final, "credits_charged": amount, "assets": stored})
        case Ended(ending=ending, code=code, message=message):
            return TaskFailed.model_validate(
                {**final, "outcome": ending.value, "code": code, "message": message, "credits_returned": amount}
            )
        case Errored(needs_attention=True, code=code, message=message):
            return TaskNeedsAttention.model_validate({**common, "reason": f"{code}: {message}"})
        case StillOpen() | Errored() | Withheld():
            return None


def _asset(asset: StoredAsset, base: str | None) -> Asset:
    return Asset(
        index=asset.index,
        role=asset.role.value,
        key=asset.key,
        url=None if base is None else f"{base}/{asset.key}",
        content_type=asset.content_type,
        size_bytes=asset.size_bytes,
        sha256=asset.sha256,
    )
