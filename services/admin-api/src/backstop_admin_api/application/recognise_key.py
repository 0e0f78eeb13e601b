"""Find out whose API key was presented."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from backstop_admin_api.application.create_key import digest_of
from backstop_common.database import Transactions

_FIND = """
    SELECT id, scopes, last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute' AS is_stale
    FROM api_keys WHERE key_sha256 = :digest AND revoked_at IS NULL
"""
_TOUCH = """
    UPDATE api_keys SET last_used_at = clock_timestamp()
    WHERE id = :id AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute')
"""


@dataclass(frozen=True, slots=True)
class Key:
    """A key that is good, and what it opens."""

    id: UUID
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class RecogniseKey:
    """Hash what was presented and look the hash up: the same work for every value, and no comparison to time.

    Its last use is noted at most once a minute.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions

    async def __call__(self, presented: bytes) -> Key | None:
        """The key; None when nobody has it or it was revoked."""
        async with self.transactions.read() as reading:
            row = await reading.row(_FIND, digest=digest_of(presented))
        if row is None:
            return None
        if row["is_stale"]:
            async with self.transactions.begin() as tx:
                await tx.execute(_TOUCH, id=row["id"])
        return Key(row["id"], frozenset(row["scopes"]))
