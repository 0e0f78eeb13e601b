"""Write down what a late look found. The status stays `timed_out`, the ledger is not touched, nobody is told."""

from __future__ import annotations

import json
from dataclasses import dataclass

import structlog

from backstop_common.database import Transaction, Transactions
from backstop_recovery.application.record_outcomes import record_assets_of
from backstop_recovery.domain.late import LateFinding

_log = structlog.get_logger(__name__)

_UPDATE = """
    UPDATE tasks SET
        last_verdict = :verdict, last_checked_at = clock_timestamp(), updated_at = clock_timestamp(),
        check_count = check_count + 1, next_check_at = clock_timestamp() + make_interval(secs => :recheck),
        lease_holder = NULL, lease_expires_at = NULL
    WHERE id = :id AND fence = :fence AND status = 'timed_out' AND lease_holder IS NOT NULL
"""
_RECORD_SUCCESS = """
    INSERT INTO task_events (task_id, kind, verdict, detail)
    SELECT :id, 'late_success', :verdict, CAST(:detail AS jsonb)
    WHERE NOT EXISTS (SELECT 1 FROM task_events WHERE task_id = :id AND kind = 'late_success')
"""
_RECORD_CHECK = """
    INSERT INTO task_events (task_id, kind, verdict, detail)
    VALUES (:id, 'late_check', :verdict, CAST(:detail AS jsonb))
"""


@dataclass(frozen=True, slots=True)
class SettleLate:
    """One finding, one transaction.

    1. Guarded update of the task: still `timed_out`, and leased under the fencing token of this claim.
    2. A line in the timeline. A late success has one for ever, and its assets with it: the row is locked by now, so
       that whoever comes second finds the line of the first.

    Raises:
        TransientError: the database is away, or this transaction lost against another one.
    """

    transactions: Transactions

    async def __call__(self, finding: LateFinding) -> bool:
        """Whether a late success was recorded, by this call and for the first time."""
        async with self.transactions.begin() as tx:
            held = await tx.execute(
                _UPDATE,
                id=finding.task.id,
                fence=finding.task.fence,
                verdict=finding.verdict,
                recheck=finding.recheck_seconds,
            )
            recorded = held == 1 and await _record(tx, finding)
        if held == 0:
            _log.warning("late_lease_lost", task_id=str(finding.task.id), fence=finding.task.fence)
        return recorded


async def _record(tx: Transaction, finding: LateFinding) -> bool:
    statement = _RECORD_SUCCESS if finding.is_late_success else _RECORD_CHECK
    detail = json.dumps(_detail(finding))
    inserted = await tx.execute(statement, id=finding.task.id, verdict=finding.verdict, detail=detail)
    if not finding.is_late_success or inserted == 0:
        return False
    await record_assets_of(tx, [(finding.task.id, asset) for asset in finding.assets])
    return True


def _detail(finding: LateFinding) -> dict[str, object]:
    detail: dict[str, object] = {"message": finding.message}
    if finding.recheck_seconds is not None:
        detail["recheckSeconds"] = round(finding.recheck_seconds, 1)
    if finding.assets:
        detail["assets"] = [{"key": asset.key, "sizeBytes": asset.size_bytes} for asset in finding.assets]
    return detail
