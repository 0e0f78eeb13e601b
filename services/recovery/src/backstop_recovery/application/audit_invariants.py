"""Ask production the questions whose answer must be none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from backstop_common.database import Transactions
from backstop_recovery.application.metrics import VIOLATIONS
from backstop_recovery.domain.invariants import INVARIANTS, Invariant

_log = structlog.get_logger(__name__)

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """How often an invariant is violated, and by whom first (at most twenty, by id)."""

    invariant: Invariant
    count: int
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AuditInvariants:
    """Each question in a snapshot of its own; a violation is a gauge, a log line with ids, and an alert of Prometheus.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions

    async def __call__(self) -> Sequence[Finding]:
        """One finding per invariant, violated or not."""
        findings = [await self._ask(invariant) for invariant in INVARIANTS]
        for finding in findings:
            VIOLATIONS.labels(invariant=finding.invariant.name).set(finding.count)
            if finding.count:
                _log.error(
                    "invariant_violated",
                    invariant=finding.invariant.name,
                    count=finding.count,
                    subjects=finding.subjects,
                )
        return findings

    async def run_once(self) -> bool:
        """As a background loop: always False (nothing more to do at once)."""
        await self()
        return False

    async def _ask(self, invariant: Invariant) -> Finding:
        async with self.transactions.read() as reading:
            row = await reading.row(
                f"SELECT count(*) AS count, (array_agg(subject ORDER BY subject))[1:{_SHOWN}] AS subjects"  # noqa: S608 - constants only
                f" FROM ({invariant.sql}) violations"
            )
        if row is None:
            raise AssertionError("an aggregate always has a row")
        return Finding(invariant, row["count"], tuple(row["subjects"] or ()))
