"""Sum up what a dry run found out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from backstop_common.database import Transactions

ENDINGS = frozenset({"failed", "cancelled", "expired", "asset_lost", "timed_out"})
"""The outcomes that end a task without a file: what the limit on endings in one run counts."""

_LINES = """
    SELECT provider, outcome, count(*) AS tasks,
        coalesce(sum(credits) FILTER (WHERE settlement = 'charge'), 0)::bigint AS credits_charged,
        coalesce(sum(credits) FILTER (WHERE settlement IN ('release', 'refund')), 0)::bigint AS credits_returned
    FROM run_previews WHERE run_id = :run GROUP BY provider, outcome ORDER BY provider, outcome
"""


@dataclass(frozen=True, slots=True)
class ReportLine:
    """The tasks of one provider that a run would bring to one outcome."""

    provider: str
    outcome: str
    tasks: int
    credits_charged: int
    credits_returned: int


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """The limit that held when the dry run asked, and whether a run would have stopped at it.

    While failures are held already (`is_held`), a run stops nowhere: it withholds every ending until somebody decides.
    """

    limit_percent: int
    min_failed: int
    would_stop: bool
    is_held: bool

    @classmethod
    def of(cls, results: Mapping[str, Any]) -> Self | None:
        """What the dry run noted beside its counts; None before its first group of tasks."""
        noted = results.get("blastRadius")
        return noted and cls(noted["limitPercent"], noted["minFailed"], noted["wouldStop"], noted["isHeld"])


@dataclass(frozen=True, slots=True)
class DryRunReport:
    """What a run would have done; of a dry run that goes on or failed, as far as it came."""

    lines: Sequence[ReportLine]
    blast_radius: BlastRadius | None = None

    @property
    def tasks(self) -> int:
        """How many tasks it asked about."""
        return sum(line.tasks for line in self.lines)

    @property
    def endings(self) -> int:
        """How many would have ended without a file."""
        return sum(line.tasks for line in self.lines if line.outcome in ENDINGS)

    @property
    def credits_charged(self) -> int:
        """What users would have paid."""
        return sum(line.credits_charged for line in self.lines)

    @property
    def credits_returned(self) -> int:
        """What users would have got back: released or refunded."""
        return sum(line.credits_returned for line in self.lines)

    def outcomes(self) -> list[ReportLine]:
        """The same over all providers, by outcome."""
        return [_total(outcome, self.lines) for outcome in sorted({line.outcome for line in self.lines})]


def _total(outcome: str, lines: Iterable[ReportLine]) -> ReportLine:
    those = [line for line in lines if line.outcome == outcome]
    return ReportLine(
        "",
        outcome,
        sum(line.tasks for line in those),
        sum(line.credits_charged for line in those),
        sum(line.credits_returned for line in those),
    )


@dataclass(frozen=True, slots=True)
class ReportDryRun:
    """The previews of a dry run, added up by the database.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions

    async def __call__(self, run_id: UUID) -> DryRunReport:
        """The report; empty for a run that is none, or has not asked anybody yet."""
        async with self.transactions.read() as reading:
            rows = await reading.rows(_LINES, run=run_id)
            results = await reading.value("SELECT results FROM cron_job_executions WHERE id = :run", run=run_id)
        return DryRunReport([ReportLine(**row) for row in rows], BlastRadius.of(results or {}))
