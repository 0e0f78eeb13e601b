"""The way out of the outbox: rows are published, and deleted only when whoever takes them has confirmed.

One turn is one transaction: lock a batch, publish it, delete what was confirmed, note the error and the next attempt
on the rest, commit. A crash rolls back and the rows are free at once, so a message may go out twice and is never
lost. There is no last attempt. Publishing inside the transaction is deliberate: the row locks keep a second relay
away, and a turn is bounded to seconds by the publishers' time-outs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

import structlog

from backstop_common.database.transactions import Transaction, Transactions
from backstop_common.observability.metrics import MESSAGES_PUBLISHED, OUTBOX_OLDEST, OUTBOX_PENDING

_log = structlog.get_logger(__name__)

BATCH_SIZE = 100
_LONGEST_DELAY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One message waiting to leave; `attempt_count` counts the attempts before this one."""

    id: int
    event_id: UUID
    type: str
    body: str
    correlation_id: str | None
    traceparent: str | None
    attempt_count: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Somebody durable has the message now."""


@dataclass(frozen=True, slots=True)
class NotConfirmed:
    """Nobody has it for sure: it stays in the outbox."""

    error: str


Confirmation = Confirmed | NotConfirmed


class Publisher(Protocol):
    """Takes messages over: RabbitMQ, or the handlers of this process."""

    async def publish(self, rows: Sequence[OutboxRow]) -> Sequence[Confirmation]:
        """One answer per row, in order. Bounded in time; raises nothing for a row that did not make it."""
        ...


@dataclass(frozen=True, slots=True)
class Relay:
    """Moves batches from the outbox to a publisher. Several relays may run beside each other."""

    transactions: Transactions
    publisher: Publisher

    async def run_once(self) -> bool:
        """Move one batch; True when it was full or something was left behind it."""
        async with self.transactions.begin() as tx:
            rows = await self._lock_batch(tx)
            if not rows:
                return False
            confirmations = await self.publisher.publish(rows)
            answers = list(zip(rows, confirmations, strict=True))
            confirmed = [row.id for row, answer in answers if isinstance(answer, Confirmed)]
            await tx.execute("DELETE FROM outbox WHERE id = ANY(:ids)", ids=confirmed)
            await self._postpone(tx, [(row, answer) for row, answer in answers if isinstance(answer, NotConfirmed)])
        for row, answer in answers:
            MESSAGES_PUBLISHED.labels(type=row.type, result=type(answer).__name__.lower()).inc()
        return len(rows) == BATCH_SIZE and bool(confirmed)

    async def _lock_batch(self, tx: Transaction) -> list[OutboxRow]:
        rows = await tx.rows(
            "SELECT id, event_id, type, body, correlation_id, traceparent, attempt_count, created_at FROM outbox"
            " WHERE not_before <= clock_timestamp() ORDER BY id LIMIT :size FOR UPDATE SKIP LOCKED",
            size=BATCH_SIZE,
        )
        return [OutboxRow(**row) for row in rows]

    async def _postpone(self, tx: Transaction, left: list[tuple[OutboxRow, NotConfirmed]]) -> None:
        if not left:
            return
        first_row, first = left[0]
        _log.warning("messages_not_confirmed", count=len(left), type=first_row.type, reason=first.error)
        await tx.execute_many(
            "UPDATE outbox SET attempt_count = attempt_count + 1, last_error = :error,"
            " not_before = clock_timestamp() + make_interval(secs => :delay) WHERE id = :id",
            [
                {"id": row.id, "error": answer.error[:1000], "delay": delay_seconds(row.attempt_count)}
                for row, answer in left
            ],
        )

    async def measure(self) -> bool:
        """Set the gauges of the outbox; always False (nothing more to do)."""
        async with self.transactions.read() as reading:
            row = await reading.row(
                "SELECT count(*) AS pending,"
                " coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float AS oldest FROM outbox"
            )
        if row is not None:
            OUTBOX_PENDING.set(row["pending"])
            OUTBOX_OLDEST.set(max(0.0, row["oldest"]))
        return False


def delay_seconds(attempt_count: int) -> float:
    """The pause after attempt `attempt_count` (from 0) was not confirmed: 0.5 s, doubled each time, at most 30 s."""
    return float(min(0.5 * 2 ** min(attempt_count, 10), _LONGEST_DELAY_SECONDS))
