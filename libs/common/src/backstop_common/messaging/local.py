"""The embedded queue: the relay hands outbox rows to the handlers of this process.

Same rows, same handlers, same inbox, same attempts as on RabbitMQ; what RabbitMQ keeps in a dead-letter queue stands
in the table `dead_letters` here. A row with several queues stays until each has taken it; the inbox keeps those that
already did from working twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from backstop_common.contracts import DELIVERY_LIMIT
from backstop_common.database.transactions import Transactions
from backstop_common.messaging.processing import Again, Dead, Handled, Incoming, process
from backstop_common.messaging.subscription import Subscription
from backstop_common.observability.metrics import DEAD_LETTERS
from backstop_common.outbox.relay import Confirmation, Confirmed, NotConfirmed, OutboxRow

_log = structlog.get_logger(__name__)

_AT_ONCE = 5
"""Handlers at the same time: each may hold a database connection, and the pool serves the rest of the process too."""


@dataclass(frozen=True, slots=True)
class LocalDispatcher:
    """A publisher whose takers are handlers in this process."""

    transactions: Transactions
    subscriptions: Sequence[Subscription]
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def publish(self, rows: Sequence[OutboxRow]) -> Sequence[Confirmation]:
        """Give each row to every handler of its type."""
        return await asyncio.gather(*(self._dispatch(row) for row in rows))

    async def _dispatch(self, row: OutboxRow) -> Confirmation:
        errors = [
            error
            for subscription in self.subscriptions
            if subscription.queue.message_type == row.type and (error := await self._deliver(subscription, row))
        ]
        return NotConfirmed("; ".join(errors)) if errors else Confirmed()

    async def _deliver(self, subscription: Subscription, row: OutboxRow) -> str | None:
        """None when this queue is done with the row, else why it is not."""
        incoming = Incoming(row.body.encode(), str(row.event_id), row.correlation_id, row.traceparent)
        async with self._slots:
            result = await process(subscription, incoming, patience_seconds=0)
        match result:
            case Handled():
                return None
            case Dead(reason=reason):
                await self._bury(subscription, row, reason)
                return None
            case Again(reason=reason) if row.attempt_count + 1 < DELIVERY_LIMIT:
                return reason
            case Again(reason=reason):
                await self._bury(subscription, row, f"delivery limit reached: {reason}")
                return None

    async def _bury(self, subscription: Subscription, row: OutboxRow, reason: str) -> None:
        async with self.transactions.begin() as tx:
            await tx.execute(
                "INSERT INTO dead_letters (queue, event_id, type, body, reason, attempt_count)"
                " VALUES (:queue, :event_id, :type, :body, :reason, :attempts) ON CONFLICT DO NOTHING",
                queue=subscription.queue.name,
                event_id=row.event_id,
                type=row.type,
                body=row.body,
                reason=reason[:1000],
                attempts=row.attempt_count + 1,
            )
        _log.error("message_dead", queue=subscription.queue.name, event_id=str(row.event_id), reason=reason)

    async def measure(self) -> bool:
        """Set the gauge of dead letters per queue; always False (nothing more to do)."""
        async with self.transactions.read() as reading:
            rows = await reading.rows("SELECT queue, count(*) AS dead FROM dead_letters GROUP BY queue")
        counts = {row["queue"]: row["dead"] for row in rows}
        for subscription in self.subscriptions:
            DEAD_LETTERS.labels(queue=subscription.queue.name).set(counts.get(subscription.queue.name, 0))
        return False
