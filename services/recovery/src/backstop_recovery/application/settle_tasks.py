"""Make resolutions true: state, ledger, assets, timeline, counts and events, in one transaction per group."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from backstop_common.database import Transaction, Transactions
from backstop_common.ids import transaction_id
from backstop_recovery.application.settlement_events import events_of
from backstop_recovery.domain.ledger import Balance, Entry, post, settlement_of
from backstop_recovery.domain.resolution import (
    Completed,
    Ended,
    Errored,
    Resolution,
    StillOpen,
    counted_as,
    is_provider_down,
    outcome_of,
    status_of,
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settled:
    """What a group came to. `lost` were finished or taken over by somebody else: nothing happened to them."""

    settled: tuple[Resolution, ...]
    lost: tuple[Resolution, ...]
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class SettleTasks:
    """Settle a group of resolutions in one transaction with set-based statements.

    Locks are taken in the order tasks (by id), accounts (by user), run: settlers never deadlock.

    1. Guarded update of the tasks: only those still `processing` and leased under the fencing token of the claim. The
       others were finished, taken over, or settled by this very claim already (when the answer of a commit was lost):
       nothing else happens for them.
    2. Ledger entries for what is final, with the accounts locked.
    3. Assets, timeline, events, and the counts of the run.

    Raises:
        LedgerError: an account cannot bear an entry; the whole group is rolled back.
        TransientError: the database is away, or this transaction lost against another one.
    """

    transactions: Transactions
    assets_public_base_url: str | None = None

    async def __call__(self, resolutions: Sequence[Resolution]) -> Settled:
        """All of the group, or nothing."""
        async with self.transactions.begin() as tx:
            moments = await self._update_tasks(tx, resolutions)
            settled = tuple(resolution for resolution in resolutions if resolution.task.claim in moments)
            lost = tuple(resolution for resolution in resolutions if resolution.task.claim not in moments)
            entries = await self._post_entries(tx, settled)
            await self._insert_assets(tx, settled)
            await self._insert_timeline(tx, settled, entries)
            await tx.publish_all(events_of(settled, entries, moments, self.assets_public_base_url))
            await self._count(tx, settled)
        for resolution in lost:
            _log.warning("lease_lost", task_id=str(resolution.task.id), fence=resolution.task.fence)
        return Settled(settled, lost, tuple(entries))

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
                    CAST(:own_errors AS boolean[]), CAST(:denials AS boolean[])
                ) AS g (id, fence, status, verdict, code, message, recheck, own_error, denied)
            ), locked AS (
                SELECT t.id, t.fence FROM tasks t JOIN given g ON g.id = t.id AND g.fence = t.fence
                WHERE t.status = 'processing' AND t.lease_holder IS NOT NULL ORDER BY t.id FOR UPDATE OF t
            )
            UPDATE tasks t SET
                status = g.status, last_verdict = g.verdict, last_checked_at = clock_timestamp(),
                updated_at = clock_timestamp(), check_count = t.check_count + 1,
                error_count = CASE WHEN g.own_error THEN t.error_count + 1
                    WHEN g.verdict = 'unknown' THEN t.error_count ELSE 0 END,
                not_found_count = CASE WHEN g.denied THEN t.not_found_count + 1
                    WHEN g.verdict = 'unknown' THEN t.not_found_count ELSE 0 END,
                failure_code = g.code, failure_message = g.message,
                next_check_at = CASE WHEN g.recheck IS NULL THEN t.next_check_at
                    ELSE clock_timestamp() + make_interval(secs => g.recheck) END,
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
            denials=[isinstance(resolution, StillOpen | Errored) and resolution.denied for resolution in resolutions],
        )
        return {(row["id"], row["fence"]): row["updated_at"] for row in rows}

    async def _post_entries(self, tx: Transaction, settled: Sequence[Resolution]) -> list[Entry]:
        users = sorted({resolution.task.user_id for resolution in settled if settlement_of(resolution)})
        if not users:
            return []
        accounts = await tx.rows(
            "SELECT user_id, balance, frozen_balance FROM credit_accounts WHERE user_id = ANY(:users)"
            " ORDER BY user_id FOR UPDATE",
            users=users,
        )
        entries = post(settled, {row["user_id"]: Balance(row["balance"], row["frozen_balance"]) for row in accounts})
        await tx.execute(
            "INSERT INTO credit_transactions (id, user_id, task_id, kind, amount, balance_change, frozen_change,"
            " balance_after, frozen_after) SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:users AS text[]),"
            " CAST(:tasks AS uuid[]), CAST(:kinds AS text[]), CAST(:amounts AS bigint[]),"
            " CAST(:balance_changes AS bigint[]), CAST(:frozen_changes AS bigint[]), CAST(:balances AS bigint[]),"
            " CAST(:frozens AS bigint[]))",
            ids=[transaction_id(entry.task_id, entry.kind) for entry in entries],
            users=[entry.user_id for entry in entries],
            tasks=[entry.task_id for entry in entries],
            kinds=[entry.kind.value for entry in entries],
            amounts=[entry.amount for entry in entries],
            balance_changes=[entry.balance_change for entry in entries],
            frozen_changes=[entry.frozen_change for entry in entries],
            balances=[entry.balance_after for entry in entries],
            frozens=[entry.frozen_after for entry in entries],
        )
        await tx.execute(
            "UPDATE credit_accounts a SET balance = balance + c.balance_change, frozen_balance = frozen_balance"
            " + c.frozen_change, total_spent = total_spent + c.spent, updated_at = clock_timestamp() FROM"
            " (SELECT user_id, sum(balance_change) AS balance_change, sum(frozen_change) AS frozen_change,"
            " sum(CASE WHEN kind = 'charge' THEN amount ELSE 0 END) AS spent FROM unnest(CAST(:users AS text[]),"
            " CAST(:kinds AS text[]), CAST(:amounts AS bigint[]), CAST(:balance_changes AS bigint[]),"
            " CAST(:frozen_changes AS bigint[])) AS e (user_id, kind, amount, balance_change, frozen_change)"
            " GROUP BY user_id) c WHERE a.user_id = c.user_id",
            users=[entry.user_id for entry in entries],
            kinds=[entry.kind.value for entry in entries],
            amounts=[entry.amount for entry in entries],
            balance_changes=[entry.balance_change for entry in entries],
            frozen_changes=[entry.frozen_change for entry in entries],
        )
        return entries

    async def _insert_assets(self, tx: Transaction, settled: Sequence[Resolution]) -> None:
        stored = [(done.task.id, asset) for done in settled if isinstance(done, Completed) for asset in done.assets]
        if not stored:
            return
        await tx.execute(
            "INSERT INTO task_assets (task_id, output_index, role, key, content_type, size_bytes, sha256)"
            " SELECT * FROM unnest(CAST(:tasks AS uuid[]), CAST(:indexes AS int[]), CAST(:roles AS text[]),"
            " CAST(:keys AS text[]), CAST(:types AS text[]), CAST(:sizes AS bigint[]), CAST(:hashes AS text[]))",
            tasks=[task_id for task_id, _ in stored],
            indexes=[asset.index for _, asset in stored],
            roles=[asset.role.value for _, asset in stored],
            keys=[asset.key for _, asset in stored],
            types=[asset.content_type for _, asset in stored],
            sizes=[asset.size_bytes for _, asset in stored],
            hashes=[asset.sha256 for _, asset in stored],
        )

    async def _insert_timeline(self, tx: Transaction, settled: Sequence[Resolution], entries: Sequence[Entry]) -> None:
        checked = [(done, "checked", _detail(done)) for done in settled]
        by_task = {done.task.id: done for done in settled}
        posted = [
            (
                by_task[entry.task_id],
                "settled",
                {"kind": entry.kind.value, "amount": entry.amount, "balanceAfter": entry.balance_after},
            )
            for entry in entries
        ]
        lines = [*checked, *posted]
        if not lines:
            return
        await tx.execute(
            "INSERT INTO task_events (task_id, run_id, kind, verdict, outcome, detail)"
            " SELECT task_id, run_id, kind, verdict, outcome, CAST(detail AS jsonb) FROM unnest(CAST(:tasks AS uuid[]),"
            " CAST(:runs AS uuid[]), CAST(:kinds AS text[]), CAST(:verdicts AS text[]), CAST(:outcomes AS text[]),"
            " CAST(:details AS text[])) AS e (task_id, run_id, kind, verdict, outcome, detail)",
            tasks=[done.task.id for done, _, _ in lines],
            runs=[done.task.run_id for done, _, _ in lines],
            kinds=[kind for _, kind, _ in lines],
            verdicts=[done.verdict for done, _, _ in lines],
            outcomes=[outcome_of(done) for done, _, _ in lines],
            details=[json.dumps(detail) for _, _, detail in lines],
        )

    async def _count(self, tx: Transaction, settled: Sequence[Resolution]) -> None:
        """Add to the runs' results, in the order of their ids; a run that was closed meanwhile stays as it is."""
        counts: dict[UUID, Counter[str]] = {}
        down: dict[UUID, set[str]] = {}
        for resolution in settled:
            if resolution.task.run_id is not None:
                run = counts.setdefault(resolution.task.run_id, Counter())
                run[counted_as(resolution)] += 1
                run["totalFound"] += 1
                if is_provider_down(resolution):
                    down.setdefault(resolution.task.run_id, set()).add(resolution.task.provider)
        for run_id in sorted(counts):
            await tx.execute(
                "UPDATE cron_job_executions SET results = add_counts(results, CAST(:changes AS jsonb)),"
                " degraded_providers ="
                " ARRAY(SELECT DISTINCT unnest(degraded_providers || CAST(:down AS text[])) ORDER BY 1),"
                " heartbeat_at = clock_timestamp() WHERE id = :run AND status = 'running'",
                run=run_id,
                changes=json.dumps(counts[run_id]),
                down=sorted(down.get(run_id, ())),
            )


def _code(resolution: Resolution) -> str | None:
    return resolution.code if isinstance(resolution, Ended | Errored) else None


def _message(resolution: Resolution) -> str | None:
    return resolution.message[:2000] if isinstance(resolution, Ended | Errored) else None


def _recheck(resolution: Resolution) -> float | None:
    return resolution.recheck_seconds if isinstance(resolution, StillOpen | Errored) else None


def _detail(resolution: Resolution) -> dict[str, object]:
    match resolution:
        case Completed(assets=assets):
            return {"assets": [{"key": asset.key, "sizeBytes": asset.size_bytes} for asset in assets]}
        case Ended(code=code, message=message):
            return {"code": code, "message": message}
        case StillOpen(message=message, recheck_seconds=seconds):
            return {"message": message, "recheckSeconds": round(seconds, 1)}
        case Errored(code=code, message=message, recheck_seconds=seconds):
            return {"code": code, "message": message, "recheckSeconds": round(seconds, 1)}
