"""Write the ledger entries of a settled group, and move the balances with them."""

from __future__ import annotations

from collections.abc import Sequence

from backstop_common.database import Transaction
from backstop_common.ids import transaction_id
from backstop_recovery.domain.ledger import Balance, Entry, post, settlement_of
from backstop_recovery.domain.resolution import Resolution


async def post_entries(tx: Transaction, settled: Sequence[Resolution]) -> list[Entry]:
    """Lock the accounts in the order of their users, post, and write entries and balances in one statement each.

    Raises:
        LedgerError: an account cannot bear an entry.
    """
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
