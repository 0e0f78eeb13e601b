"""Freeze the credits of tasks that hold them: part of taking tasks in."""

from __future__ import annotations

from collections.abc import Mapping

from backstop_admin_api.application.grant_credits import Account, lock_accounts
from backstop_admin_api.application.intake_outcomes import NotEnoughCredits
from backstop_admin_api.application.records import TaskRecord, id_of
from backstop_common.database import Transaction
from backstop_common.ids import transaction_id

_HOLD = """
    INSERT INTO credit_transactions (id, user_id, task_id, kind, amount, balance_change, frozen_change, balance_after,
        frozen_after)
    SELECT id, user_id, task_id, 'hold', amount, 0, amount, balance, frozen
    FROM unnest(CAST(:ids AS uuid[]), CAST(:users AS text[]), CAST(:tasks AS uuid[]), CAST(:amounts AS bigint[]),
        CAST(:balances AS bigint[]), CAST(:frozens AS bigint[])) AS g (id, user_id, task_id, amount, balance, frozen)
"""
_FREEZE = """
    UPDATE credit_accounts a SET frozen_balance = frozen_balance + h.amount, updated_at = clock_timestamp()
    FROM (SELECT user_id, sum(amount)::bigint AS amount
        FROM unnest(CAST(:users AS text[]), CAST(:amounts AS bigint[])) AS g (user_id, amount) GROUP BY user_id) h
    WHERE a.user_id = h.user_id
"""


async def hold_credits(tx: Transaction, tasks: Mapping[int, TaskRecord]) -> dict[int, NotEnoughCredits]:
    """Freeze and write the ledger, with the accounts locked, in the order of the positions; those that do not fit."""
    holds = {position: task for position, task in sorted(tasks.items()) if task.billing == "hold" and task.credits > 0}
    if not holds:
        return {}
    accounts = await lock_accounts(tx, [task.user_id for task in holds.values()])
    short: dict[int, NotEnoughCredits] = {}
    posted: list[tuple[TaskRecord, Account]] = []
    for position, task in holds.items():
        account = accounts[task.user_id]
        if task.credits > account.spendable:
            short[position] = NotEnoughCredits(task.credits, account.spendable)
            continue
        accounts[task.user_id] = Account(account.balance, account.frozen + task.credits)
        posted.append((task, accounts[task.user_id]))
    await _post(tx, posted)
    return short


async def _post(tx: Transaction, posted: list[tuple[TaskRecord, Account]]) -> None:
    users = [task.user_id for task, _ in posted]
    amounts = [task.credits for task, _ in posted]
    await tx.execute(
        _HOLD,
        ids=[transaction_id(id_of(task), "hold") for task, _ in posted],
        users=users,
        tasks=[id_of(task) for task, _ in posted],
        amounts=amounts,
        balances=[account.balance for _, account in posted],
        frozens=[account.frozen for _, account in posted],
    )
    await tx.execute(_FREEZE, users=users, amounts=amounts)
