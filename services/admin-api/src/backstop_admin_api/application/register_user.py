"""Make a user known, or change what is known about one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from backstop_admin_api.application.records import NewUser, UserRecord
from backstop_common.database import Transaction, Transactions

_INSERT = """
    INSERT INTO users (id, email, name, locale, notify)
    SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:emails AS text[]), CAST(:names AS text[]),
        CAST(:locales AS text[]), CAST(:notifies AS boolean[])) ON CONFLICT DO NOTHING
"""
_CHANGE = """
    WITH given AS (
        SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:emails AS text[]), CAST(:names AS text[]),
            CAST(:locales AS text[]), CAST(:notifies AS boolean[]), CAST(:says_email AS boolean[]),
            CAST(:says_name AS boolean[]), CAST(:says_locale AS boolean[]), CAST(:says_notify AS boolean[]))
            AS g (id, email, name, locale, notify, says_email, says_name, says_locale, says_notify)
    ), wanted AS (
        SELECT u.id, CASE WHEN g.says_email THEN g.email ELSE u.email END AS email,
            CASE WHEN g.says_name THEN g.name ELSE u.name END AS name,
            CASE WHEN g.says_locale THEN g.locale ELSE u.locale END AS locale,
            CASE WHEN g.says_notify THEN g.notify ELSE u.notify END AS notify
        FROM users u JOIN given g USING (id) ORDER BY u.id FOR NO KEY UPDATE OF u
    )
    UPDATE users u SET email = w.email, name = w.name, locale = w.locale, notify = w.notify,
        updated_at = clock_timestamp()
    FROM wanted w WHERE u.id = w.id
        AND (u.email, u.name, u.locale, u.notify) IS DISTINCT FROM (w.email, w.name, w.locale, w.notify)
"""
_USER = """
    SELECT u.id, email, name, locale, notify, balance, frozen_balance, u.created_at, u.updated_at
    FROM users u JOIN credit_accounts a ON a.user_id = u.id WHERE u.id = :id
"""


@dataclass(frozen=True, slots=True)
class User:
    """A user with the account; what can be spent is `balance - frozen_balance`."""

    id: str
    email: str | None
    name: str | None
    locale: str
    notify: bool
    balance: int
    frozen_balance: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class RegisterUser:
    """One user with a credit account.

    1. Insert the user and an empty account, if they are missing.
    2. Change what the record says; what it leaves out stays as it is.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions

    async def __call__(self, user_id: str, record: UserRecord) -> User:
        """The user as it is now. Idempotent."""
        async with self.transactions.begin() as tx:
            await insert_users(tx, {user_id: record})
            await change_users(tx, {user_id: record})
            await open_accounts(tx, [user_id])
            row = await tx.row(_USER, id=user_id)
        if row is None:
            raise RuntimeError("a user who was just registered is gone")
        return User(**row)


async def insert_users(tx: Transaction, users: Mapping[str, UserRecord | NewUser]) -> int:
    """Those who are missing; how many they were. In the order of their ids, so that two of us never deadlock."""
    ordered = [(user_id, users[user_id]) for user_id in sorted(users)]
    if not ordered:
        return 0
    return await tx.execute(
        _INSERT,
        ids=[user_id for user_id, _ in ordered],
        emails=[user.email for _, user in ordered],
        names=[user.name for _, user in ordered],
        locales=[user.locale if isinstance(user, UserRecord) else "en" for _, user in ordered],
        notifies=[user.notify if isinstance(user, UserRecord) else True for _, user in ordered],
    )


async def change_users(tx: Transaction, users: Mapping[str, UserRecord]) -> int:
    """What the records say of users who are there; how many changed."""
    ordered = [(user_id, users[user_id]) for user_id in sorted(users)]
    if not ordered:
        return 0
    return await tx.execute(
        _CHANGE,
        ids=[user_id for user_id, _ in ordered],
        emails=[user.email for _, user in ordered],
        names=[user.name for _, user in ordered],
        locales=[user.locale for _, user in ordered],
        notifies=[user.notify for _, user in ordered],
        says_email=["email" in user.model_fields_set for _, user in ordered],
        says_name=["name" in user.model_fields_set for _, user in ordered],
        says_locale=["locale" in user.model_fields_set for _, user in ordered],
        says_notify=["notify" in user.model_fields_set for _, user in ordered],
    )


async def open_accounts(tx: Transaction, user_ids: list[str]) -> None:
    """An empty account for those who have none."""
    await tx.execute(
        "INSERT INTO credit_accounts (user_id) SELECT unnest(CAST(:ids AS text[])) ON CONFLICT DO NOTHING",
        ids=sorted(set(user_ids)),
    )
