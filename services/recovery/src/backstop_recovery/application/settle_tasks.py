"""Make resolutions true: state, ledger, assets, timeline, counts and events, in one transaction per group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import structlog

from backstop_common.database import Transaction, Transactions
from backstop_recovery.application.count_for_runs import count_for_runs
from backstop_recovery.application.post_entries import post_entries
from backstop_recovery.application.record_outcomes import record_assets, record_timeline
from backstop_recovery.application.settlement_events import events_of
from backstop_recovery.application.withhold_failures import require_within_limit, with_approvals, withheld
from backstop_recovery.domain.blast_radius import BlastRadius, Tally
from backstop_recovery.domain.cause import cause_of, told_by
from backstop_recovery.domain.ledger import Entry
from backstop_recovery.domain.resolution import (
    Completed,
    Ended,
    Errored,
    Resolution,
    StillOpen,
    Withheld,
    status_of,
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settled:
    """What a group came to. `lost` were finished or taken over by somebody else: nothing happened to them.

    `told` has, per finished generation of a provider with webhooks, the provider and who told of its end.
    """

    settled: tuple[Resolution, ...]
    lost: tuple[Resolution, ...]
    entries: tuple[Entry, ...]
    told: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SettleTasks:
    """Settle a group of resolutions in one transaction with set-based statements.

    Locks are taken in the order tasks (by id), accounts (by user), run: settlers never deadlock.

    1. While a hold is open, endings that nobody approved are withheld.
    2. Guarded update of the tasks: only those still `processing` and leased under the fencing token of the claim. The
       others were finished, taken over, or settled by this very claim already (when the answer of a commit was lost):
       nothing else happens for them.
    3. Ledger entries for what is final, with the accounts locked.
    4. Assets, timeline, events, and the counts of the run.
    5. A run that would have failed too much then takes all of it back.

    Raises:
        BlastRadiusExceededError: the run has to stop; `SettleWithinLimit` stops it.
        LedgerError: an account cannot bear an entry; the whole group is rolled back.
        TransientError: the database is away, or this transaction lost against another one.
    """

    transactions: Transactions
    assets_public_base_url: str | None = None
    with_webhooks: frozenset[str] = frozenset()
    """The providers whose specification has a webhook: of the others nobody ever tells."""
    limit: BlastRadius = field(default_factory=BlastRadius)

    async def __call__(self, resolutions: Sequence[Resolution]) -> Settled:
        """All of the group, or nothing."""
        async with self.transactions.begin() as tx:
            group, is_held = await with_approvals(tx, resolutions)
            settled, tallies = await self.within(tx, withheld(group, self.limit) if is_held else group)
            await require_within_limit(tx, settled.settled, tallies, self.limit)
        for resolution in settled.lost:
            _log.warning("lease_lost", task_id=str(resolution.task.id), fence=resolution.task.fence)
        return settled

    async def within(self, tx: Transaction, resolutions: Sequence[Resolution]) -> tuple[Settled, dict[UUID, Tally]]:
        """Settle in a transaction of the caller's, who judges how the runs stand then."""
        moments = await self._update_tasks(tx, resolutions)
        settled = tuple(resolution for resolution in resolutions if resolution.task.claim in moments)
        lost = tuple(resolution for resolution in resolutions if resolution.task.claim not in moments)
        entries = await post_entries(tx, settled)
        await record_assets(tx, settled)
        await record_timeline(tx, settled, entries)
        await tx.publish_all(events_of(settled, entries, moments, self.assets_public_base_url))
        tallies = await count_for_runs(tx, settled)
        return Settled(settled, lost, tuple(entries), tuple(self._told(settled))), tallies

    def _told(self, settled: Sequence[Resolution]) -> Iterator[tuple[str, str]]:
        for resolution in settled:
            who = told_by(resolution)
            if who is not None and resolution.task.provider in self.with_webhooks:
                yield resolution.task.provider, who

    async def _update_tasks(
        self, tx: Transaction, resolutions: Sequence[Resolution]
    ) -> dict[tuple[UUID, int], datetime]:
        """The claims that were still good, each with the moment of the change."""
        rows = await tx.rows(
            """
            WITH given AS (
                SELECT * FROM unnest(
                    CAST(:ids AS uuid[]), CAST(:fences AS bigint[]), CAST(:statuses AS text[]),
                    CAST(:verdicts AS text[]),
                    CAST(:codes AS text[]), CAST(:messages AS text[]), CAST(:rechecks AS float8[]),
                    CAST(:own_errors AS boolean[]), CAST(:denials AS text[]), CAST(:causes AS text[]),
                    CAST(:deadlines AS timestamptz[]), CAST(:withheld AS text[]), CAST(:going_on AS boolean[])
                ) AS g (id, fence, status, verdict, code, message, recheck, own_error, denial, cause, deadline,
                    withheld, is_going_on)
            ), locked AS (
                SELECT t.id, t.fence FROM tasks t JOIN given g ON g.id = t.id AND g.fence = t.fence
                WHERE t.status = 'processing' AND t.lease_holder IS NOT NULL ORDER BY t.id FOR UPDATE OF t
            )
            UPDATE tasks t SET
                status = g.status, last_verdict = g.verdict, last_checked_at = clock_timestamp(),
                updated_at = clock_timestamp(), check_count = t.check_count + 1,
                error_count = CASE WHEN g.own_error THEN t.error_count + 1
                    WHEN g.verdict = 'unknown' OR g.denial = 'output' OR g.withheld IS NOT NULL THEN t.error_count
                    ELSE 0 END,
                not_found_count = CASE WHEN g.denial = t.last_denial THEN t.not_found_count + 1
                    WHEN g.denial IS NOT NULL THEN 1
                    WHEN g.verdict = 'unknown' OR g.own_error AND t.last_denial = 'output' OR g.withheld IS NOT NULL
                        THEN t.not_found_count
                    ELSE 0 END,
                last_denial = CASE WHEN g.denial IS NOT NULL THEN g.denial
                    WHEN g.verdict = 'unknown' OR g.own_error AND t.last_denial = 'output' OR g.withheld IS NOT NULL
                        THEN t.last_denial END,
                withheld_at = CASE WHEN g.withheld IS NOT NULL THEN coalesce(t.withheld_at, clock_timestamp())
                    WHEN g.verdict = 'unknown' OR g.own_error THEN t.withheld_at END,
                withheld_outcome = CASE WHEN g.withheld IS NOT NULL THEN g.withheld
                    WHEN g.verdict = 'unknown' OR g.own_error THEN t.withheld_outcome END,
                approved_at = CASE WHEN g.is_going_on THEN NULL ELSE t.approved_at END,
                stuck_cause = CASE WHEN t.check_count = 0 THEN g.cause ELSE t.stuck_cause END,
                failure_code = g.code, failure_message = g.message,
                next_check_at = clock_timestamp() + make_interval(secs => g.recheck),
                output_deadline_at = coalesce(g.deadline, t.output_deadline_at),
                finished_at = CASE WHEN g.status IN ('processing', 'needs_attention') THEN NULL
                    ELSE clock_timestamp() END,
                lease_holder = NULL, lease_expires_at = NULL
            FROM given g JOIN locked ON locked.id = g.id AND locked.fence = g.fence
            WHERE t.id = g.id RETURNING t.id, t.fence, t.updated_at
            """,
            ids=[resolution.task.id for resolution in resolutions],
            fences=[resolution.task.fence for resolution in resolutions],
            statuses=[status_of(resolution) for resolution in resolutions],
            verdicts=[resolution.verdict for resolution in resolutions],
            codes=[_code(resolution) for resolution in resolutions],
            messages=[_message(resolution) for resolution in resolutions],
            rechecks=[_recheck(resolution) for resolution in resolutions],
            own_errors=[isinstance(resolution, Errored) and resolution.own for resolution in resolutions],
            denials=[_denial(resolution) for resolution in resolutions],
            causes=[cause_of(resolution) for resolution in resolutions],
            deadlines=[_deadline(resolution) for resolution in resolutions],
            withheld=[resolution.ending if isinstance(resolution, Withheld) else None for resolution in resolutions],
            going_on=[isinstance(resolution, StillOpen) for resolution in resolutions],
        )
        return {(row["id"], row["fence"]): row["updated_at"] for row in rows}


def _code(resolution: Resolution) -> str | None:
    return resolution.code if isinstance(resolution, Ended | Errored | Withheld) else None


def _message(resolution: Resolution) -> str | None:
    return resolution.message[:2000] if isinstance(resolution, Ended | Errored | Withheld) else None


def _recheck(resolution: Resolution) -> float | None:
    """When to ask again; for what is final that is whether it succeeded after all, or never."""
    match resolution:
        case Ended(look_again_seconds=seconds):
            return seconds
        case StillOpen(recheck_seconds=seconds) | Errored(recheck_seconds=seconds) | Withheld(recheck_seconds=seconds):
            return seconds
        case Completed():
            return None


def _denial(resolution: Resolution) -> str | None:
    return resolution.denied if isinstance(resolution, StillOpen | Errored) else None


def _deadline(resolution: Resolution) -> datetime | None:
    return resolution.available_until if isinstance(resolution, Errored) else None
