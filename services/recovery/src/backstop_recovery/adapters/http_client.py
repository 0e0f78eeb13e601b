"""One HTTP client for polls and downloads: no proxies from the environment, no cookies, no redirects of its own.

Every connection passes the address guard. Bodies are read with a cap, headers have a deadline, `Accept-Encoding:
identity` keeps sizes honest (who packs all the same meets `content_encoding`), and aiohttp's exceptions become ours
where they occur: `TransientError` for the network, `PermanentError` for what will not change.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from backstop_common.errors import PermanentError, TransientError
from backstop_recovery.adapters.byte_budget import ByteBudget
from backstop_recovery.adapters.content_encoding import is_packed, unpacked
from backstop_recovery.adapters.guard import AddressGuard, GuardedResolver, Lookup, look_up

_LONGEST_URL = 8192
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")
_SMALL_BODY = 2**17
_LARGE_BODIES = 2**24
_READ_AHEAD = 2**16
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_USER_AGENT = "Backstop/0.1"


class BadAddressError(PermanentError):
    """The text is no http(s) address that may be called."""


class BodyTooLargeError(PermanentError):
    """The answer is larger than its cap."""


class NotReachableError(TransientError):
    """The name, the connection, TLS or the protocol failed: whether the other side saw the request is not known."""


class TooSlowError(TransientError):
    """The other side did not answer in time."""


class CutShortError(TransientError):
    """The body ended before its announced end."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Incoming:
    """An answer whose body is still on its way."""

    url: URL
    status: int
    headers: Mapping[str, str]
    _response: aiohttp.ClientResponse

    def abort(self) -> None:
        """Close the connection: whoever reads the body gets a `TransientError`."""
        self._response.close()

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, unpacked when it is packed.

        Raises:
            TransientError: the connection broke, stalled, or the body was shorter than announced.
            BadEncodingError: it is packed in a way that is not taken in.
        """
        encoding = self.headers.get("content-encoding", "")
        return unpacked(self._arriving(), encoding) if is_packed(encoding) else self._arriving()

    async def _arriving(self) -> AsyncIterator[bytes]:
        while True:
            with _translated(self.url):
                chunk = await self._response.content.readany()
            if not chunk:
                return
            yield chunk


def parse_url(text: str) -> URL:
    """An address that may be called, byte for byte as it was written: signatures cover its spelling.

    Raises:
        BadAddressError: not http(s), no host, a user name in it, too long, or control characters.
    """
    if len(text) > _LONGEST_URL or _UNSAFE.search(text):
        raise BadAddressError("the address is too long or contains control characters")
    spaceless = text.strip().replace(" ", "%20")
    try:
        url = URL(spaceless, encoded=spaceless.isascii())
        valid = url.scheme in {"http", "https"} and bool(url.host) and (url.port or 0) > 0
    except ValueError:
        valid = False
    if not valid:
        raise BadAddressError("the address is not an http or https one")
    if url.raw_user is not None or url.raw_password is not None:
        raise BadAddressError("the address carries a user name")
    return url.with_fragment(None) if url.raw_fragment else url


def follow_redirect(url: URL, status: int, headers: Mapping[str, str]) -> URL | None:
    """Where a redirect leads, or None when the answer is none.

    Raises:
        BadAddressError: its `Location` is no address that may be called.
    """
    location = headers.get("location", "").strip()
    if status not in _REDIRECTS or not location:
        return None
    try:
        return parse_url(str(url.join(URL(location, encoded=location.isascii()))))
    except ValueError as error:
        raise BadAddressError(f"{url.host} redirects to no address") from error


def _large_bodies() -> ByteBudget:
    return ByteBudget(_LARGE_BODIES)


@dataclass(frozen=True, slots=True)
class HttpClient:
    """See the module. Made by `open_client` inside a running loop; `close` it when done.

    Whole answers above 128 KiB share 16 MiB, so that many large ones at once wait for each other, not for memory.
    """

    session: aiohttp.ClientSession
    guard: AddressGuard
    large_bodies: ByteBudget = field(default_factory=_large_bodies)

    async def get(self, url: URL, *, headers: Mapping[str, str], max_bytes: int, timeout_seconds: float) -> Answer:
        """Ask and read the whole answer.

        Raises:
            ForbiddenAddressError: the guard refused.
            BodyTooLargeError: the body is larger than `max_bytes`.
            BadEncodingError: it is packed in a way that is not taken in.
            TransientError: `NotReachableError`, `TooSlowError` or `CutShortError`.
        """
        try:
            async with asyncio.timeout(timeout_seconds), self.stream(url, headers=headers) as incoming:
                return Answer(incoming.status, incoming.headers, await self._whole(incoming, max_bytes))
        except TimeoutError as error:
            raise TooSlowError(f"{url.host} did not answer within {timeout_seconds:g} s") from error

    async def _whole(self, incoming: Incoming, max_bytes: int) -> bytes:
        body, is_large = bytearray(), False
        async with AsyncExitStack() as held:
            async for chunk in incoming.chunks():
                body += chunk
                if len(body) > max_bytes:
                    raise BodyTooLargeError(f"{incoming.url.host} answered more than {max_bytes} bytes")
                if len(body) > _SMALL_BODY and not is_large:
                    is_large = True
                    await held.enter_async_context(self.large_bodies.reserve(max_bytes))
            return bytes(body)

    @asynccontextmanager
    async def stream(
        self, url: URL, *, headers: Mapping[str, str], connect_seconds: float = 10.0, read_seconds: float = 60.0
    ) -> AsyncIterator[Incoming]:
        """Ask, and hand over the answer with its body unread. Redirects are answers like others.

        The headers have to be complete within the sum of both times: each byte alone would renew `read_seconds`.

        Raises:
            ForbiddenAddressError: the guard refused.
            TransientError: `NotReachableError` or `TooSlowError`.
        """
        self.guard.check_literal(url.raw_host or "", url.port or 0)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds, sock_read=read_seconds)
        with _translated(url):
            async with asyncio.timeout(connect_seconds + read_seconds):
                response = await self.session.get(url, headers=headers, allow_redirects=False, timeout=timeout)
        try:
            lowered = {name.lower(): _text(value) for name, value in response.headers.items()}
            yield Incoming(url, response.status, lowered, response)
        finally:
            # A connection with an unread body must not go back to the pool; one read to its end already did.
            response.close()

    async def close(self) -> None:
        """Close all connections."""
        await self.session.close()


def open_client(guard: AddressGuard, *, connections: int = 256, lookup: Lookup = look_up) -> HttpClient:
    """A client for one process. Call it inside the running loop."""
    connector = aiohttp.TCPConnector(
        resolver=GuardedResolver(guard, lookup),
        socket_factory=guard.open_socket,
        limit=connections,
        ttl_dns_cache=30,
    )
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        headers={"Accept-Encoding": "identity", "User-Agent": _USER_AGENT},
        raise_for_status=False,
        auto_decompress=False,
        read_bufsize=_READ_AHEAD,
    )
    return HttpClient(session, guard)


def _text(value: str) -> str:
    """A header's value as text that can be stored: aiohttp keeps bytes that are no UTF-8 as lone surrogates."""
    return value if value.isascii() else value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


@contextmanager
def _translated(url: URL) -> Iterator[None]:
    host = url.host
    try:
        yield
    except TimeoutError as error:
        raise TooSlowError(f"{host} did not answer in time") from error
    except aiohttp.InvalidURL as error:
        raise BadAddressError(f"{host} is not a host that can be called") from error
    except aiohttp.ClientPayloadError as error:
        raise CutShortError(f"{host} closed the connection before the end of the body") from error
    except (aiohttp.ClientError, OSError) as error:
        raise NotReachableError(f"{host} is not reachable ({type(error).__name__})") from error
