"""Read the keys that a provider signs its webhooks with, as recovery fetched them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from backstop_admin_api.application.webhook_outcomes import PublicKey
from backstop_common.database import Transactions

_KEPT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ReadWebhookKeys:
    """From the table `webhook_keys`, remembered for a minute; that there are none is not remembered.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions
    monotonic: Callable[[], float]
    _kept: dict[str, tuple[float, Sequence[PublicKey]]] = field(default_factory=dict)

    async def __call__(self, provider: str) -> Sequence[PublicKey]:
        """The keys of a provider in the catalogue; none while nobody has fetched them."""
        read_at, keys = self._kept.get(provider, (0.0, ()))
        if keys and self.monotonic() - read_at < _KEPT_SECONDS:
            return keys
        async with self.transactions.read() as reading:
            rows = await reading.rows(
                "SELECT key_id, jwk FROM webhook_keys WHERE provider = :provider ORDER BY key_id", provider=provider
            )
        keys = [PublicKey(row["key_id"], row["jwk"]) for row in rows]
        self._kept[provider] = (self.monotonic(), keys)
        return keys
