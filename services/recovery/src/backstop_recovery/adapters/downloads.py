"""Opening an output's address: hosts judged, keys kept where they belong, redirects followed by hand.

Every hop is checked anew (scheme, host list, address guard) and gets the provider's key only if it may see it. What a
file host's status means: 404, 410 and refused signatures are `OutputGoneError`, 429 and 5xx `TransientError`, forbidden
addresses `OutputRefusedError`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from yarl import URL

from backstop_common.errors import TransientError
from backstop_common.providers.compiled import CompiledProvider
from backstop_recovery.adapters.addresses import host_matches
from backstop_recovery.adapters.content_encoding import BadEncodingError
from backstop_recovery.adapters.credentials import Credentials, credentials_of, may_see_credentials
from backstop_recovery.adapters.guard import ForbiddenAddressError
from backstop_recovery.adapters.http_client import BadAddressError, HttpClient, Incoming, follow_redirect, parse_url
from backstop_recovery.adapters.retry_after import retry_after_seconds
from backstop_recovery.application.errors import OutputGoneError, OutputRefusedError

_GONE = frozenset({401, 403, 404, 410, 451})
_TRY_AGAIN = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Downloads:
    """See the module."""

    client: HttpClient
    now: Callable[[], datetime]

    @asynccontextmanager
    async def open(self, provider: CompiledProvider, address: str) -> AsyncIterator[Incoming]:
        """The file at an address, body unread.

        Raises:
            OutputGoneError, OutputRefusedError, TransientError: see the module.
        """
        try:
            url = parse_url(address)
            for _ in range(provider.download.redirects + 1):
                async with self._request(provider, url) as incoming:
                    target = follow_redirect(url, incoming.status, incoming.headers)
                    if target is None:
                        self._judge(provider, incoming)
                        yield incoming
                        return
                    url = target
        except (BadAddressError, ForbiddenAddressError) as error:
            raise OutputRefusedError(f"the output's address is refused: {error}") from error
        except BadEncodingError as error:
            raise OutputRefusedError(f"{url.host}: {error}") from error
        raise OutputRefusedError(f"{url.host} redirects more than {provider.download.redirects} times")

    @asynccontextmanager
    async def _request(self, provider: CompiledProvider, url: URL) -> AsyncIterator[Incoming]:
        self._require_allowed(provider, url)
        credentials = self._credentials(provider, url)
        limits = provider.download.timeout
        async with self.client.stream(
            credentials.apply(url),
            headers=credentials.headers,
            connect_seconds=limits.connect,
            read_seconds=limits.read,
        ) as incoming:
            yield incoming

    def _credentials(self, provider: CompiledProvider, url: URL) -> Credentials:
        if provider.download.auth == "same" and may_see_credentials(
            provider, url, provider.download.auth_hosts, self.client.guard.allowed
        ):
            return credentials_of(provider.auth, self.now())
        return Credentials()

    def _require_allowed(self, provider: CompiledProvider, url: URL) -> None:
        host, port = url.host or "", url.port or 0
        if provider.download.hosts and not host_matches(host, port, provider.download.hosts):
            raise OutputRefusedError(f"{provider.name} delivers no files from {host}: it is not in download.hosts")
        listed = self.client.guard.allowed.admits(host, port)
        if provider.download.https_only and url.scheme != "https" and not listed:
            raise OutputRefusedError(f"{host} offers the file without TLS; set download.https_only: false to allow it")

    def _judge(self, provider: CompiledProvider, incoming: Incoming) -> None:
        status, host = incoming.status, incoming.url.host
        if status in {200, 203}:
            return
        if status in _GONE and not (status in {401, 403} and self._credentials(provider, incoming.url).headers):
            raise OutputGoneError(f"{host} no longer has the file (HTTP {status})")
        if 400 <= status < 500 and status not in _TRY_AGAIN | {401, 403}:  # noqa: PLR2004 - HTTP client errors
            raise OutputRefusedError(f"{host} refused to hand over the file (HTTP {status})")
        wait = retry_after_seconds(incoming.headers, self.now())
        raise TransientError(f"{host} answered HTTP {status}", retry_after_seconds=wait)
