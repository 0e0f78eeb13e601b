"""Give credits to users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from backstop_admin_api.application.records import GrantRecord
from backstop_admin_api.application.register_user import open_accounts
from backstop_common.database import Transaction, Transactions

_KNOWN = """
    SELECT c.id, c.user_id, c.amount, c.reason, c.reference_id, c.balance_after, c.frozen_after, c.created_at
    FROM unnest(CAST(:users AS text[]), CAST(:references AS text[])) AS g (user_id, reference_id)
    JOIN credit_transactions c USING (user_id, reference_id)
"""
_POST = """
    WITH given AS (
        SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:users AS text[]), CAST(:amounts AS bigint[]),
            CAST(:reasons AS text[]), CAST(:references AS text[])) AS g (id, user_id, amount, reason, reference_id)
    ), account AS (
        UPDATE credit_accounts a SET balance = balance + g.amount, updated_at = clock_timestamp()
        FROM given g WHERE a.user_id = g.user_id RETURNING a.user_id, a.balance, a.frozen_balance
    )
    INSERT INTO credit_transactions (id, user_id, kind, amount, balance_change, frozen_change, balance_after,
        frozen_after, reason, reference_id)
    SELECT g.id, g.user_id, 'grant', g.amount, g.amount, 0, a.balance, a.frozen_balance, g.reason, g.reference_id
    FROM given g JOIN account a USING (user_id)
    RETURNING id, user_id, amount, reason, reference_id, balance_after, frozen_after, created_at
"""


@dataclass(frozen=True, slots=True)
class Granted:
    """A grant in the ledger, with the balances right after it."""

    id: UUID
    user_id: str
    amount: int
    reason: str | None
    reference_id: str
    balance_after: int
    frozen_after: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class GrantDiffers:
    """This reference was granted before, with another amount."""

    amount: int


@dataclass(frozen=True, slots=True)
class NoSuchUser:
    """Nobody has registered this user."""

    user_id: str


@dataclass(frozen=True, slots=True)
class GrantCredits:
    """Add credits once per user and reference.

    1. Lock the account: grants to one user are decided one after the other.
    2. A reference that is in the ledger is answered with its entry, or refused when the amount differs.
    3. Otherwise the balance and the ledger change together.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions

    async def __call__(self, user_id: str, grant: GrantRecord) -> Granted | GrantDiffers | NoSuchUser:
        """The grant, whether it is new or not."""
        async with self.transactions.begin() as tx:
            if await tx.value("SELECT 1 FROM users WHERE id = :id", id=user_id) is None:
                return NoSuchUser(user_id)
            await open_accounts(tx, [user_id])
            await lock_accounts(tx, [user_id])
            return (await post_grants(tx, {user_id: grant}))[user_id]


@dataclass(frozen=True, slots=True)
class Account:
    """A locked account; all in credits."""

    balance: int
    frozen: int

    @property
    def spendable(self) -> int:
        """What is not frozen."""
        return self.balance - self.frozen


async def lock_accounts(tx: Transaction, user_ids: Sequence[str]) -> dict[str, Account]:
    """The accounts of these users, in the order of their ids, as the settlement locks them."""
    rows = await tx.rows(
        "SELECT user_id, balance, frozen_balance FROM credit_accounts WHERE user_id = ANY(:users)"
        " ORDER BY user_id FOR UPDATE",
        users=sorted(set(user_ids)),
    )
    return {row["user_id"]: Account(row["balance"], row["frozen_balance"]) for row in rows}


async def post_grants(tx: Transaction, grants: Mapping[str, GrantRecord]) -> dict[str, Granted | GrantDiffers]:
    """One grant each for users whose accounts are locked."""
    known = await tx.rows(
        _KNOWN, users=list(grants), references=[grant.reference_id for grant in grants.values()]
    )  # fmt: skip
    answers: dict[str, Granted | GrantDiffers] = {
        row["user_id"]: Granted(**row)
        if row["amount"] == grants[row["user_id"]].amount
        else GrantDiffers(row["amount"])
        for row in known
    }
    new = {user_id: grant for user_id, grant in grants.items() if user_id not in answers}
    if new:
        posted = await tx.rows(
            _POST,
            ids=[uuid4() for _ in new],
            users=list(new),
            amounts=[grant.amount for grant in new.values()],
            reasons=[grant.reason for grant in new.values()],
            references=[grant.reference_id for grant in new.values()],
        )
        answers |= {row["user_id"]: Granted(**row) for row in posted}
    return answers
