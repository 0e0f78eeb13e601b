"""Tell a user what became of a task.

1. Once per message (inbox) and once per task and kind (the delivery's key).
2. Read the user; without an address, with `notify` off, or without a mail server there is no mail, and that is counted.
3. Insert one delivery row with the facts. Sending is somebody else's work: recovery never waits for a mail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import RowMapping

from backstop_common.database import Transaction, Transactions
from backstop_common.messaging import Delivery
from backstop_notifier.application.plan_delivery import plan_delivery
from backstop_notifier.domain.delivery import Channel, Kind
from backstop_notifier.metrics import DELIVERIES

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Notice:
    """What a user is to be told. `payload_for` makes the delivery's facts once the user's name is known."""

    kind: Kind
    task_id: UUID
    user_id: str
    run_id: UUID | None
    payload_for: Callable[[str | None], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class MailUser:
    """`mails_enabled` is False when no mail server is configured."""

    transactions: Transactions
    mails_enabled: bool

    async def __call__(self, notice: Notice, incoming: Delivery) -> None:
        """See the module.

        Raises:
            TransientError: the database is away.
        """
        async with self.transactions.begin() as tx:
            if not await tx.first_time(incoming.consumer, incoming.event_id):
                return
            skipped = await self._plan(tx, notice)
        if skipped is not None:
            _log.info("mail_skipped", kind=notice.kind.value, task_id=str(notice.task_id), reason=skipped)
            DELIVERIES.labels(channel=Channel.EMAIL.value, result="skipped").inc()

    async def _plan(self, tx: Transaction, notice: Notice) -> str | None:
        """Insert the row, or say why there is none."""
        if not self.mails_enabled:
            return "SMTP_URL is not set"
        user = await tx.row("SELECT email, name, notify FROM users WHERE id = :id", id=notice.user_id)
        reason = _reason_against(user)
        if user is None or reason is not None:
            return reason
        planned = await plan_delivery(
            tx,
            channel=Channel.EMAIL,
            kind=notice.kind,
            subject=notice.task_id,
            payload=notice.payload_for(user["name"]),
            recipient=user["email"].strip(),
            task_id=notice.task_id,
            run_id=notice.run_id,
        )
        return None if planned else "this mail was planned before"


def _reason_against(user: RowMapping | None) -> str | None:
    if user is None:
        return "the user is not known"
    if not user["notify"]:
        return "the user does not want mails"
    return None if (user["email"] or "").strip() else "the user has no address"
