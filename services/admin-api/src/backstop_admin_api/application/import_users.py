"""Take the users of an import file in, many in one transaction: part of `import_records`."""

from __future__ import annotations

from collections.abc import Mapping

from backstop_admin_api.application.grant_credits import GrantDiffers, lock_accounts, post_grants
from backstop_admin_api.application.intake_outcomes import Invalid
from backstop_admin_api.application.records import GrantRecord, ImportedUser
from backstop_admin_api.application.register_user import change_users, insert_users, open_accounts
from backstop_common.database import Transaction

OPENING = "import:opening-balance"
"""The reference of the grant that an imported balance becomes: once per user."""

_USED = """
    SELECT a.user_id FROM credit_accounts a
    WHERE a.user_id = ANY(:users)
        AND (a.balance > 0 OR EXISTS (SELECT 1 FROM credit_transactions c WHERE c.user_id = a.user_id))
        AND NOT EXISTS (SELECT 1 FROM credit_transactions c WHERE c.user_id = a.user_id AND c.reference_id = :opening)
"""


async def import_users(tx: Transaction, users: Mapping[str, ImportedUser]) -> dict[str, Invalid]:
    """Register the users and post their opening balances; those that were refused, by id.

    An opening balance is posted into an account nothing has happened in. The same balance again changes nothing.
    """
    if not users:
        return {}
    await insert_users(tx, users)
    await open_accounts(tx, list(users))
    opening = {
        user_id: GrantRecord(amount=user.balance, reason="opening balance", reference_id=OPENING)
        for user_id, user in users.items()
        if user.balance
    }
    accounts = await lock_accounts(tx, list(opening))
    used = {row["user_id"] for row in await tx.rows(_USED, users=list(opening), opening=OPENING)}
    refused = {
        user_id: Invalid(
            "balance",
            f"the account is in use already and has {accounts[user_id].balance} credits; leave balance out, or grant"
            " credits with POST /api/users/{id}/credits",
        )
        for user_id in used
    }
    posted = await post_grants(tx, {user_id: grant for user_id, grant in opening.items() if user_id not in used})
    refused |= {
        user_id: Invalid("balance", f"the opening balance was imported before as {answer.amount}; it stays so")
        for user_id, answer in posted.items()
        if isinstance(answer, GrantDiffers)
    }
    await change_users(tx, {user_id: user for user_id, user in users.items() if user_id not in refused})
    return refused
