"""Write what a settled group left behind: its assets, and a line per step in each task's timeline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import UUID

from backstop_common.database import Transaction
from backstop_recovery.domain.asset import StoredAsset
from backstop_recovery.domain.cause import cause_of
from backstop_recovery.domain.ledger import Entry
from backstop_recovery.domain.resolution import Completed, Ended, Errored, Resolution, StillOpen, Withheld, outcome_of


async def record_assets(tx: Transaction, settled: Sequence[Resolution]) -> None:
    """One row per stored output."""
    await record_assets_of(
        tx, [(done.task.id, asset) for done in settled if isinstance(done, Completed) for asset in done.assets]
    )


async def record_assets_of(tx: Transaction, stored: Sequence[tuple[UUID, StoredAsset]]) -> None:
    """One row per stored output of these tasks."""
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


async def record_timeline(tx: Transaction, settled: Sequence[Resolution], entries: Sequence[Entry]) -> None:
    """What each check found, and each entry of the ledger."""
    checked = [(done, "withheld" if isinstance(done, Withheld) else "checked", _detail(done)) for done in settled]
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


def _detail(resolution: Resolution) -> dict[str, object]:
    cause = cause_of(resolution)
    return {**_found(resolution), **({"stuckCause": cause.value} if cause is not None else {})}


def _found(resolution: Resolution) -> dict[str, object]:
    match resolution:
        case Completed(assets=assets, warnings=warnings):
            stored = [{"key": asset.key, "sizeBytes": asset.size_bytes} for asset in assets]
            return {"assets": stored, **_told(warnings)}
        case Ended(code=code, message=message, warnings=warnings):
            return {"code": code, "message": message, **_told(warnings)}
        case Withheld(task=task, ending=ending, code=code, message=message, recheck_seconds=seconds):
            would_be = {"ending": ending.value, "code": code, "message": message, "credits": task.credits}
            return {**would_be, "recheckSeconds": round(seconds, 1)}
        case StillOpen(message=message, recheck_seconds=seconds):
            return {"message": message, "recheckSeconds": round(seconds, 1)}
        case Errored(code=code, message=message, recheck_seconds=seconds, warnings=warnings):
            return {"code": code, "message": message, "recheckSeconds": round(seconds, 1), **_told(warnings)}


def _told(warnings: tuple[str, ...]) -> dict[str, object]:
    return {"warnings": list(warnings)} if warnings else {}
