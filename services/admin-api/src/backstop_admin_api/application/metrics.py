"""What admin-api counts. No ids in labels, and no name that a stranger chose."""

from __future__ import annotations

from prometheus_client import Counter

_WEBHOOKS = Counter(
    "backstop_webhooks_total", "Providers' webhooks by what became of them.", ["provider", "result"]
)  # fmt: skip


def observe_webhook(provider: str, result: str) -> None:
    """Count one webhook; the provider is one of the catalogue."""
    _WEBHOOKS.labels(provider=provider, result=result).inc()
