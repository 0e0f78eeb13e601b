"""Free the deliveries of workers that died between sending and recording.

Whether the message left is unknown. A chat message is sent again (an operator alert prefers a duplicate), until its
attempts are used up; a mail is left as `uncertain` (a user prefers one mail) for a person to look at.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from backstop_common.database import Transactions
from backstop_notifier.domain.delivery import MOST_ATTEMPTS
from backstop_notifier.metrics import DELIVERIES

_log = structlog.get_logger(__name__)

_RESULTS = {"pending": "retried", "uncertain": "uncertain", "failed": "failed"}


@dataclass(frozen=True, slots=True)
class ReleaseDeliveries:
    """A background loop over all channels."""

    transactions: Transactions

    async def run_once(self) -> bool:
        """Release what has expired; always False (a minute more or less does not matter here).

        Raises:
            TransientError: the database is away.
        """
        async with self.transactions.begin() as tx:
            rows = await tx.rows(
                "UPDATE deliveries SET lease_holder = NULL, lease_expires_at = NULL,"
                " next_attempt_at = clock_timestamp(),"
                " last_error = 'the worker was lost while sending; it may have been sent',"
                " state = CASE WHEN channel = 'email' THEN 'uncertain' WHEN attempt_count >= :most THEN 'failed'"
                " ELSE 'pending' END"
                " WHERE id IN (SELECT id FROM deliveries WHERE state = 'sending' AND lease_expires_at < now()"
                " FOR UPDATE SKIP LOCKED) RETURNING id, channel, state",
                most=MOST_ATTEMPTS,
            )
        for row in rows:
            DELIVERIES.labels(channel=row["channel"], result=_RESULTS[row["state"]]).inc()
            _log.warning(
                "delivery_lease_expired", delivery_id=str(row["id"]), channel=row["channel"], state=row["state"]
            )
        return False
