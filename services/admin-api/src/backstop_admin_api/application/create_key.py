"""Make an API key for an app."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from backstop_common.database import Transactions

SCOPES = ("tasks:write", "tasks:read")
PREFIX = "bsk_"
_SHOWN_CHARACTERS = 12
_KEY_BYTES = 32


class UnknownScopeError(ValueError):
    """The sentence lists the scopes there are."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key; `key` is told this once and never again: the database has its SHA-256."""

    id: UUID
    name: str
    prefix: str
    scopes: tuple[str, ...]
    key: str


@dataclass(frozen=True, slots=True)
class CreateKey:
    """A random key of 256 bits, so that a fast hash of it is enough at rest. Recorded in the audit log.

    Raises:
        UnknownScopeError: nobody knows one of the scopes.
        TransientError: the database is away.
    """

    transactions: Transactions

    async def __call__(self, name: str, scopes: Sequence[str], *, actor: str) -> NewKey:
        """The key in plain text, once."""
        wanted = tuple(dict.fromkeys(scopes)) or SCOPES
        for scope in wanted:
            if scope not in SCOPES:
                raise UnknownScopeError(f"there is no scope {scope!r}; use {' or '.join(SCOPES)}")
        key = PREFIX + secrets.token_urlsafe(_KEY_BYTES)
        new = NewKey(uuid4(), name, key[:_SHOWN_CHARACTERS], wanted, key)
        async with self.transactions.begin() as tx:
            await tx.execute(
                "INSERT INTO api_keys (id, name, prefix, key_sha256, scopes)"
                " VALUES (:id, :name, :prefix, :digest, CAST(:scopes AS text[]))",
                id=new.id,
                name=name,
                prefix=new.prefix,
                digest=digest_of(key.encode()),
                scopes=list(wanted),
            )
            await tx.execute(
                "INSERT INTO audit_log (actor, action, subject, detail)"
                " VALUES (:actor, 'key.create', :subject, CAST(:detail AS jsonb))",
                actor=actor,
                subject=f"key:{new.id}",
                detail=json.dumps({"name": name, "prefix": new.prefix, "scopes": list(wanted)}),
            )
        return new


def digest_of(key: bytes) -> bytes:
    """What of a key is stored and looked up."""
    return hashlib.sha256(key).digest()
