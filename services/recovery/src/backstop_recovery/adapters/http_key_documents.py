"""Published key sets over HTTP, through the guarded client: https only, small, no redirects, no credentials."""

from __future__ import annotations

from dataclasses import dataclass

from backstop_common.errors import TransientError
from backstop_common.providers.catalogue import Catalogue
from backstop_common.providers.specification import FalVerify
from backstop_recovery.adapters.http_client import BadAddressError, HttpClient, parse_url
from backstop_recovery.application.refresh_webhook_keys import KeySource
from backstop_recovery.domain.webhook_keys import KeyKind

_LARGEST_DOCUMENT = 256 * 1024
_PATIENCE_SECONDS = 10.0
_OK = 200


@dataclass(frozen=True, slots=True)
class HttpKeyDocuments:
    """See `application.refresh_webhook_keys.KeyDocuments`."""

    client: HttpClient

    async def fetch(self, address: str) -> bytes:
        """The document at an address; http is for hosts that the operator listed.

        Raises:
            TransientError, PermanentError: as the port says.
        """
        url = parse_url(address)
        if url.scheme != "https" and not self.client.guard.allowed.admits(url.host or "", url.port or 0):
            raise BadAddressError(f"{url.host} offers its keys without TLS: anybody on the way could change them")
        answer = await self.client.get(
            url,
            headers={"Accept": "application/json"},
            max_bytes=_LARGEST_DOCUMENT,
            timeout_seconds=_PATIENCE_SECONDS,
        )
        if answer.status != _OK:
            raise TransientError(f"{url.host} answered HTTP {answer.status}")
        return answer.body


def key_sources(catalogue: Catalogue) -> list[KeySource]:
    """Where the providers that are in use publish their keys: those whose API key is set."""
    sources = []
    for name in catalogue.names:
        provider = catalogue.get(name)
        webhook = provider.webhook
        if webhook is not None and webhook.key_address is not None and not provider.missing_secrets:
            kind = KeyKind.ED25519 if isinstance(webhook.verify, FalVerify) else KeyKind.RSA
            sources.append(KeySource(name, webhook.key_address, kind))
    return sources
