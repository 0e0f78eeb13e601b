"""Send what is due on one channel.

For up to a batch, one delivery at a time on one connection:
1. Claim it with a lease and commit: from here on a crash leaves a row that says "may have been sent".
2. Send, with no transaction open.
3. Record what follows (`domain.delivery.decide`), guarded by state, lease holder and attempt.

Claiming one by one keeps the doubt small: a dead worker leaves at most one delivery per channel in it. When the channel
itself is in trouble the turn ends, so that an outage costs one attempt per turn and not one per waiting delivery.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

import structlog

from backstop_common.database import Transactions
from backstop_notifier.application.ports import ClaimedDelivery, Outlet
from backstop_notifier.domain.delivery import (
    Channel,
    Decision,
    Kind,
    MarkFailed,
    MarkSent,
    MarkUncertain,
    Outcome,
    Postponed,
    Retry,
    decide,
)
from backstop_notifier.metrics import DELIVERIES

_log = structlog.get_logger(__name__)

_BATCH_SIZE = 50
_TURN_SECONDS = 30.0

_CLAIM = """
WITH due AS (
    SELECT d.id FROM deliveries d
    WHERE d.channel = :channel AND d.state = 'pending' AND d.next_attempt_at <= now()
      AND NOT (d.kind = 'incident-resolved' AND EXISTS (
          SELECT 1 FROM deliveries opening
          WHERE opening.incident_id = d.incident_id AND opening.channel = d.channel
            AND opening.kind = 'incident-opened' AND opening.state IN ('pending', 'sending')))
    ORDER BY d.next_attempt_at, d.created_at, d.id
    LIMIT 1 FOR UPDATE OF d SKIP LOCKED
)
UPDATE deliveries SET state = 'sending', attempt_count = attempt_count + 1, lease_holder = :holder,
    lease_expires_at = clock_timestamp() + make_interval(secs => :lease)
FROM due WHERE deliveries.id = due.id
RETURNING deliveries.id, kind, recipient, payload, attempt_count, created_at
"""

_RECORD = """
UPDATE deliveries SET state = :state, lease_holder = NULL, lease_expires_at = NULL, last_error = :error,
    next_attempt_at = clock_timestamp() + make_interval(secs => :delay),
    sent_at = CASE WHEN :state = 'sent' THEN clock_timestamp() END
WHERE id = :id AND state = 'sending' AND lease_holder = :holder AND attempt_count = :attempt
"""


@dataclass(frozen=True, slots=True)
class SendDeliveries:
    """The sending loop of one channel. `holder` names this worker in leases; `dice` spreads retries."""

    transactions: Transactions
    channel: Channel
    outlet: Outlet
    holder: str
    dice: Callable[[], float]
    lease_seconds: float

    async def run_once(self) -> bool:
        """Send a batch; True when more may be due.

        Raises:
            TransientError: the database is away.
        """
        clock = asyncio.get_running_loop().time
        give_back_at = clock() + _TURN_SECONDS
        async with self.outlet.open() as sender:
            for _ in range(_BATCH_SIZE):
                if clock() > give_back_at:
                    break
                delivery = await self._claim()
                if delivery is None:
                    return False
                outcome = await sender.send(delivery)
                await self._settle(delivery, outcome)
                if isinstance(outcome, Postponed) and outcome.everyone:
                    await self._hold_back(outcome)
                    return False
        return True

    async def _claim(self) -> ClaimedDelivery | None:
        async with self.transactions.begin() as tx:
            row = await tx.row(_CLAIM, channel=self.channel.value, holder=self.holder, lease=self.lease_seconds)
        return None if row is None else ClaimedDelivery(**{**row, "kind": Kind(row["kind"])})

    async def _settle(self, delivery: ClaimedDelivery, outcome: Outcome) -> None:
        decision = decide(outcome, channel=self.channel, attempt_count=delivery.attempt_count, dice=self.dice())
        state, result, error, delay = _as_row(decision)
        async with self.transactions.begin() as tx:
            recorded = await tx.execute(
                _RECORD,
                id=delivery.id,
                holder=self.holder,
                attempt=delivery.attempt_count,
                state=state,
                error=error,
                delay=delay,
            )
        result = result if recorded else "lease_lost"
        DELIVERIES.labels(channel=self.channel.value, result=result).inc()
        log = _log.info if result == "sent" else _log.warning
        log(f"delivery_{result}", delivery_id=str(delivery.id), channel=self.channel.value, reason=error)

    async def _hold_back(self, outcome: Postponed) -> None:
        """The whole channel was asked to wait: nothing of it is tried earlier, by any replica."""
        if outcome.retry_after_seconds is None:
            return
        async with self.transactions.begin() as tx:
            await tx.execute(
                "UPDATE deliveries SET next_attempt_at = now() + make_interval(secs => :wait)"
                " WHERE channel = :channel AND state = 'pending'"
                " AND next_attempt_at < now() + make_interval(secs => :wait)",
                channel=self.channel.value,
                wait=float(outcome.retry_after_seconds),
            )


def _as_row(decision: Decision) -> tuple[str, str, str | None, float]:
    """State, word of the metric, last error, seconds until the next attempt."""
    match decision:
        case MarkSent():
            return "sent", "sent", None, 0.0
        case Retry(delay_seconds=delay, reason=reason):
            return "pending", "retried", reason, delay
        case MarkFailed(reason=reason):
            return "failed", "failed", reason, 0.0
        case MarkUncertain(reason=reason):
            return "uncertain", "uncertain", reason, 0.0
        case _:
            assert_never(decision)
