"""Fetch the keys that providers sign their webhooks with, for admin-api, which reaches nothing outside."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from backstop_common.database import Transactions
from backstop_common.errors import PermanentError, TransientError
from backstop_recovery.domain.webhook_keys import KeyKind, WebhookKey, parse_keys

_log = structlog.get_logger(__name__)

REFRESH_SECONDS = 3600.0

_STORE = """
    INSERT INTO webhook_keys (provider, key_id, jwk, fetched_at)
    SELECT :provider, key_id, CAST(jwk AS jsonb), clock_timestamp()
    FROM unnest(CAST(:ids AS text[]), CAST(:jwks AS text[])) AS g (key_id, jwk) ORDER BY key_id
    ON CONFLICT (provider, key_id) DO UPDATE SET jwk = excluded.jwk, fetched_at = excluded.fetched_at
"""
_FORGET = "DELETE FROM webhook_keys WHERE provider = :provider AND key_id <> ALL(CAST(:ids AS text[]))"


class KeyDocuments(Protocol):
    """Published key sets by their address."""

    async def fetch(self, address: str) -> bytes:
        """The document.

        Raises:
            TransientError: the other side is not reachable, too slow, or answers with an error.
            PermanentError: the address must not be called, or the answer is too large.
        """
        ...


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where a provider publishes what kind of keys."""

    provider: str
    address: str
    kind: KeyKind


Observe = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class RefreshWebhookKeys:
    """Every hour for each provider, after a failure with the next turn.

    1. Fetch each address that is due, once for all providers that share it. No transaction is open.
    2. A document without a usable key counts as a failure: the keys that are stored stay.
    3. Otherwise they are replaced in one transaction: new ones in, those no longer published out.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions
    documents: KeyDocuments
    sources: Sequence[KeySource]
    monotonic: Callable[[], float]
    observe: Observe
    _refreshed_at: dict[str, float] = field(default_factory=dict)

    async def __call__(self) -> bool:
        """Always False: there is nothing more to do at once."""
        due = [source for source in self.sources if self._is_due(source.provider)]
        fetched: Mapping[str, bytes | None] = {
            address: await self._fetch(address) for address in dict.fromkeys(source.address for source in due)
        }
        for source in due:
            document = fetched[source.address]
            keys = () if document is None else parse_keys(document, source.kind)
            if keys:
                await self._replace(source.provider, keys)
                self._refreshed_at[source.provider] = self.monotonic()
            elif document is not None:
                _log.warning("webhook_keys_unusable", provider=source.provider, address=source.address)
            self.observe(source.provider, "refreshed" if keys else "failed")
        return False

    def _is_due(self, provider: str) -> bool:
        last = self._refreshed_at.get(provider)
        return last is None or self.monotonic() - last >= REFRESH_SECONDS

    async def _fetch(self, address: str) -> bytes | None:
        try:
            return await self.documents.fetch(address)
        except (TransientError, PermanentError) as error:
            _log.warning("webhook_keys_not_fetched", address=address, reason=str(error))
            return None

    async def _replace(self, provider: str, keys: Sequence[WebhookKey]) -> None:
        ids = [key.key_id for key in keys]
        async with self.transactions.begin() as tx:
            await tx.execute(_STORE, provider=provider, ids=ids, jwks=[json.dumps(dict(key.jwk)) for key in keys])
            await tx.execute(_FORGET, provider=provider, ids=ids)
