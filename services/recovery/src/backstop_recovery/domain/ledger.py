"""How credits move when a task is settled. Pure: balances in, entries out.

The balance includes the frozen credits; what a user can spend is `balance - frozen`. A charge of a held task takes
its credits out of both, a release only thaws them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from backstop_recovery.domain.resolution import Completed, Ended, Errored, Resolution, StillOpen, Withheld
from backstop_recovery.domain.task import Billing, Task


class EntryKind(StrEnum):
    """The settlements; a task has at most one."""

    CHARGE = "charge"
    RELEASE = "release"
    REFUND = "refund"


class LedgerError(Exception):
    """An account cannot bear an entry; `task_id` names the task whose settlement asked for it."""

    def __init__(self, task_id: UUID, message: str) -> None:
        super().__init__(message)
        self.task_id = task_id


@dataclass(frozen=True, slots=True)
class Balance:
    """One account; all in credits."""

    balance: int
    frozen: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger."""

    task_id: UUID
    user_id: str
    kind: EntryKind
    amount: int
    balance_change: int
    frozen_change: int
    balance_after: int
    frozen_after: int


def settlement_of(resolution: Resolution) -> EntryKind | None:
    """Which entry a resolution asks for, if any."""
    task = resolution.task
    if task.credits == 0:
        return None
    match resolution:
        case Completed():
            return EntryKind.CHARGE if task.billing in {Billing.HOLD, Billing.ON_SUCCESS} else None
        case Ended():
            return {Billing.HOLD: EntryKind.RELEASE, Billing.PREPAID: EntryKind.REFUND}.get(task.billing)
        case StillOpen() | Errored() | Withheld():
            return None


def post(resolutions: Iterable[Resolution], balances: Mapping[str, Balance]) -> list[Entry]:
    """The entries of a group of resolutions, in order, each with the balances after it.

    Raises:
        LedgerError: an account is missing, or does not have what an entry takes.
    """
    current = dict(balances)
    entries: list[Entry] = []
    for resolution in resolutions:
        kind = settlement_of(resolution)
        if kind is not None:
            entry = _entry(resolution.task, kind, current.get(resolution.task.user_id))
            current[entry.user_id] = Balance(entry.balance_after, entry.frozen_after)
            entries.append(entry)
    return entries


def _entry(task: Task, kind: EntryKind, before: Balance | None) -> Entry:
    if before is None:
        raise LedgerError(task.id, f"the user {task.user_id!r} has no credit account")
    balance_change, frozen_change = _changes(task, kind)
    balance, frozen = before.balance + balance_change, before.frozen + frozen_change
    if balance < 0 or not 0 <= frozen <= balance:
        raise LedgerError(
            task.id,
            f"{kind} of {task.credits} does not fit an account with {before.balance} credits, {before.frozen} frozen",
        )
    return Entry(task.id, task.user_id, kind, task.credits, balance_change, frozen_change, balance, frozen)


def _changes(task: Task, kind: EntryKind) -> tuple[int, int]:
    match kind:
        case EntryKind.CHARGE:
            return -task.credits, -task.credits if task.billing is Billing.HOLD else 0
        case EntryKind.RELEASE:
            return 0, -task.credits
        case EntryKind.REFUND:
            return task.credits, 0
