"""The one place every outgoing connection passes: names are resolved once, checked, and only checked addresses dialled.

A name with one bad record is refused as a whole. aiohttp asks the resolver for names only, never for IP literals; the
socket factory is asked for every connection: both together leave no way round. Refusal is `ForbiddenAddressError`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from backstop_common.errors import PermanentError
from backstop_recovery.adapters.addresses import AllowedHosts, is_plain_name, is_public, parse_address

AddressInfo = tuple[Any, ...]
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
Lookup = Callable[[str, int, socket.AddressFamily], Awaitable[list[AddressInfo]]]


class ForbiddenAddressError(PermanentError):
    """The address is not public and nobody allowed it."""


async def look_up(host: str, port: int, family: socket.AddressFamily) -> list[AddressInfo]:
    """The system's resolver, in a thread."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG)
    return list(found)


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """The rule for one process. It remembers what operator-listed names resolved to, for the sockets."""

    allowed: AllowedHosts
    _admitted: set[tuple[str, int]] = field(default_factory=set)

    def check_literal(self, host: str, port: int) -> None:
        """Refuse an IP literal that is not public, and what is one in disguise. The resolver judges plain names.

        Raises:
            ForbiddenAddressError: see above.
        """
        if self.allowed.admits(host, port):
            return
        address = parse_address(host)
        if address is None and not is_plain_name(host):
            raise ForbiddenAddressError(f"{host[:100]!r} is no plain name and no plain address")
        if address is not None and not is_public(address):
            raise ForbiddenAddressError(f"{host} is not a public address")

    def check_records(self, host: str, port: int, addresses: list[str]) -> None:
        """Refuse a name with any record that is not public.

        Raises:
            ForbiddenAddressError: see above.
        """
        if self.allowed.admits(host, port):
            # Kept for good: a pool may still dial the records of an earlier answer.
            self._admitted.update((text, port) for text in addresses)
            return
        for text in addresses:
            if not is_public(ip_address(text)):
                raise ForbiddenAddressError(f"{host} resolves to {text}, which is not a public address")

    def open_socket(self, info: AddressInfo) -> socket.socket:
        """A socket for one address that is about to be dialled.

        Raises:
            ForbiddenAddressError: nobody may dial it.
        """
        family, kind, protocol, _, (text, port, *_) = info
        listed = (text, port) in self._admitted or self.allowed.admits(text, port)
        if not listed and not is_public(ip_address(text)):
            raise ForbiddenAddressError(f"{text} is not a public address")
        return socket.socket(family=family, type=kind, proto=protocol)


class GuardedResolver(AbstractResolver):
    """aiohttp's resolver behind the guard. Public names are asked with a trailing dot, past all search domains."""

    def __init__(self, guard: AddressGuard, lookup: Lookup = look_up) -> None:
        self._guard = guard
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The checked addresses of a name.

        Raises:
            ForbiddenAddressError: one of them must not be dialled.
            OSError: the name cannot be resolved.
        """
        question = host if self._guard.allowed.admits(host, port) else host.rstrip(".") + "."
        infos = [info for info in await self._lookup(question, port, family) if info[0] in _FAMILIES]
        if not infos:
            raise OSError(None, f"{host} has no address")
        self._guard.check_records(host, port, [info[4][0] for info in infos])
        return [
            ResolveResult(
                hostname=host, host=info[4][0], port=port, family=info[0], proto=info[2], flags=socket.AI_NUMERICHOST
            )
            for info in infos
        ]

    async def close(self) -> None:
        """Nothing to release."""
