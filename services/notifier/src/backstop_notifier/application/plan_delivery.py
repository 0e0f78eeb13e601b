"""Plan one delivery: a row with a derived, unique key, in the transaction of whoever wants it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from backstop_common.database import Transaction
from backstop_common.ids import delivery_id
from backstop_notifier.domain.delivery import Channel, Kind, key_of


async def plan_delivery(
    tx: Transaction,
    *,
    channel: Channel,
    kind: Kind,
    subject: UUID,
    payload: Mapping[str, Any],
    recipient: str | None = None,
    task_id: UUID | None = None,
    run_id: UUID | None = None,
    incident_id: UUID | None = None,
) -> bool:
    """Insert the delivery of a kind about a subject; False when it exists already, in whatever state."""
    key = key_of(channel, kind, subject)
    inserted = await tx.execute(
        "INSERT INTO deliveries (id, key, channel, kind, recipient, task_id, run_id, incident_id, payload)"
        " VALUES (:id, :key, :channel, :kind, :recipient, :task_id, :run_id, :incident_id, CAST(:payload AS jsonb))"
        " ON CONFLICT (key) DO NOTHING",
        id=delivery_id(key),
        key=key,
        channel=channel.value,
        kind=kind.value,
        recipient=recipient,
        task_id=task_id,
        run_id=run_id,
        incident_id=incident_id,
        payload=json.dumps(payload),
    )
    return inserted == 1
