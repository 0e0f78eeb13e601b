"""Whether the demo's run did what it says, looked up where the effects are: files, ledger, mailbox, chat.

Nothing here trusts the product: expected hashes and messages come from the sandbox, balances are folded from the
ledger in SQL of this module.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from backstop.demo.seeding import SeededTask
from backstop.demo.story import PEOPLE
from backstop_common.database import Transactions

_ARRIVAL_SECONDS = 30.0
_MAILED = {"completed", "failed", "expired", "cancelled", "asset_lost", "timed_out"}
_LEDGER = """
    SELECT a.user_id FROM credit_accounts a LEFT JOIN credit_transactions t USING (user_id)
    GROUP BY a.user_id
    HAVING a.balance <> coalesce(sum(t.balance_change), 0) OR a.frozen_balance <> coalesce(sum(t.frozen_change), 0)
        OR a.total_spent <> coalesce(sum(t.amount) FILTER (WHERE t.kind = 'charge'), 0)
"""
_SETTLEMENTS = """
    SELECT t.id FROM tasks t LEFT JOIN credit_transactions c
        ON c.task_id = t.id AND c.kind IN ('charge', 'release', 'refund')
    WHERE c.kind IS DISTINCT FROM CASE
        WHEN t.credits = 0 THEN NULL
        WHEN t.status = 'completed' AND t.billing IN ('hold', 'on_success') THEN 'charge'
        WHEN t.status IN ('failed', 'cancelled', 'expired', 'asset_lost', 'timed_out') AND t.billing = 'hold'
            THEN 'release'
        WHEN t.status IN ('failed', 'cancelled', 'expired', 'asset_lost', 'timed_out') AND t.billing = 'prepaid'
            THEN 'refund'
    END
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One claim, whether it holds, and what was counted."""

    claim: str
    holds: bool
    counted: str


@dataclass(frozen=True, slots=True)
class Proof:
    """Looks at the effects of one batch."""

    transactions: Transactions
    sandbox_url: str
    assets_folder: Path

    async def findings(
        self, tasks: Sequence[SeededTask], dead_run: UUID, *, mails_before: int, chats_before: int
    ) -> list[Finding]:
        """All claims about a batch; mails and alerts are given some seconds to arrive."""
        statuses = await self._statuses(tasks)
        expected_mails = Counter(f"{task.scene.person}@example.com" for task in tasks if statuses[task.id] in _MAILED)
        mails, chats = await self._arrived(expected_mails.total(), dead_run, mails_before, chats_before)
        return [
            _statuses_hold(tasks, statuses),
            await self._assets(tasks, statuses),
            await self._ledger(),
            _mails_hold(mails, expected_mails),
            _alerts_hold(chats, dead_run),
            await self._nothing_left_behind(),
        ]

    async def counts(self) -> tuple[int, int]:
        """How many mails and chat messages the sandbox has."""
        async with httpx.AsyncClient(base_url=self.sandbox_url, trust_env=False) as client:
            mails = (await client.get("/control/mails")).json()
            chats = (await client.get("/control/chats")).json()
        return int(mails["total"]), int(chats["total"])

    async def _statuses(self, tasks: Sequence[SeededTask]) -> dict[UUID, str]:
        async with self.transactions.read() as reading:
            rows = await reading.rows(
                "SELECT id, status FROM tasks WHERE id = ANY(:ids)", ids=[task.id for task in tasks]
            )
        return {row["id"]: row["status"] for row in rows}

    async def _arrived(
        self, mail_count: int, dead_run: UUID, mails_before: int, chats_before: int
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """What came since the start, as soon as it is enough or the time is up."""
        deadline = asyncio.get_running_loop().time() + _ARRIVAL_SECONDS
        async with httpx.AsyncClient(base_url=self.sandbox_url, trust_env=False) as client:
            while True:
                mails = (await client.get("/control/mails")).json()["mails"][mails_before:]
                chats = (await client.get("/control/chats")).json()["chats"][chats_before:]
                enough = len(mails) >= mail_count and len(_about(chats, dead_run)) >= 2  # noqa: PLR2004 - Slack and Discord
                if enough or asyncio.get_running_loop().time() > deadline:
                    return mails, chats
                await asyncio.sleep(0.2)

    async def _assets(self, tasks: Sequence[SeededTask], statuses: dict[UUID, str]) -> Finding:
        async with httpx.AsyncClient(base_url=self.sandbox_url, trust_env=False) as client:
            files = (await client.get("/control/files")).json()["files"]
        wanted = {(file["provider"], file["id"], file["index"]): file["sha256"] for file in files}
        async with self.transactions.read() as reading:
            rows = await reading.rows(
                "SELECT task_id, output_index, key, sha256 FROM task_assets WHERE task_id = ANY(:ids)",
                ids=[task.id for task in tasks],
            )
        stored = {(row["task_id"], row["output_index"]): row for row in rows}
        completed = [task for task in tasks if statuses[task.id] == "completed"]
        checked = good = 0
        for task in completed:
            for (provider, generation, index), sha256 in wanted.items():
                if (provider, generation) == (task.scene.provider, task.provider_task_id):
                    checked += 1
                    row = stored.get((task.id, index))
                    good += row is not None and row["sha256"] == sha256 == _sha256(self.assets_folder / row["key"])
        return Finding(
            "Each completed task's assets are in the bucket, byte for byte",
            checked == good == len(stored) and checked >= len(completed) > 0,
            f"{good} of {checked} files of {len(completed)} tasks, by sha256",
        )

    async def _ledger(self) -> Finding:
        async with self.transactions.read() as reading:
            unbalanced = await reading.rows(_LEDGER)
            unsettled = await reading.rows(_SETTLEMENTS)
            entries = await reading.value("SELECT count(*) FROM credit_transactions")
        return Finding(
            "The ledger balances, and each task is settled once",
            not unbalanced and not unsettled,
            f"{entries} entries, {len(PEOPLE)} accounts, {len(unbalanced) + len(unsettled)} differences",
        )

    async def _nothing_left_behind(self) -> Finding:
        """The outbox empties within seconds; deliveries and dead letters tell what did not make it."""
        deadline = asyncio.get_running_loop().time() + _ARRIVAL_SECONDS
        while True:
            async with self.transactions.read() as reading:
                row = await reading.row(
                    "SELECT (SELECT count(*) FROM outbox) AS outbox, (SELECT count(*) FROM dead_letters) AS dead,"
                    " (SELECT count(*) FROM deliveries WHERE state <> 'sent') AS unsent"
                )
            if row is None:
                raise AssertionError("a row of counts is always there")
            left = row["outbox"] + row["dead"] + row["unsent"]
            if left == 0 or asyncio.get_running_loop().time() > deadline:
                return Finding(
                    "Every event was delivered",
                    left == 0,
                    f"{row['outbox']} in the outbox, {row['unsent']} unsent, {row['dead']} dead",
                )
            await asyncio.sleep(0.2)


def _statuses_hold(tasks: Sequence[SeededTask], statuses: dict[UUID, str]) -> Finding:
    wrong = [task for task in tasks if statuses[task.id] != task.scene.status]
    return Finding(
        "Each task is what its provider says",
        not wrong,
        f"{len(tasks) - len(wrong)} of {len(tasks)}"
        + "".join(f"; {task.scene.provider} {task.provider_task_id}: {statuses[task.id]}" for task in wrong),
    )


def _mails_hold(mails: Sequence[dict[str, Any]], expected: Counter[str]) -> Finding:
    arrived = Counter(recipient for mail in mails for recipient in mail["envelope"]["to"])
    return Finding(
        "Each user got one mail per finished task",
        arrived == expected,
        f"{arrived.total()} of {expected.total()} mails to {len(expected)} people",
    )


def _about(chats: Sequence[dict[str, Any]], run: UUID) -> set[str]:
    return {chat["vendor"] for chat in chats if str(run) in str(chat)}


def _alerts_hold(chats: Sequence[dict[str, Any]], dead_run: UUID) -> Finding:
    vendors = _about(chats, dead_run)
    return Finding(
        "Operators were told about the run that died",
        vendors == {"slack", "discord"},
        f"by {' and '.join(sorted(vendors)) or 'nobody'}",
    )


def _sha256(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
