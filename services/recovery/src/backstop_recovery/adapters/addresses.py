"""Which addresses the product may call: public ones, and those an operator lists.

The rule is our own because the standard library's is not meant as one (`is_global` passes NAT64, 6to4 and Azure's
wire server). It is pure; `guard` applies it to every connection. What is not clearly public is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from backstop_common.errors import ConfigurationError

_V4_REFUSED = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT, also Alibaba's metadata server
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's wire server
        "169.254.0.0/16",  # link-local and metadata servers
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved and broadcast
    )
)
_V6_GLOBAL = IPv6Network("2000::/3")
_V6_REFUSED = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # Teredo, benchmarks, ORCHID and other protocol assignments
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4 carries any IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3ffe::/16",  # 6bone
        "3fff::/20",  # documentation
    )
)
_V4_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_NAME = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LAST_PORT = 65535
# The same few hosts are judged thousands of times; the judgement of a text never changes.
_REMEMBERED = 4096


@lru_cache(maxsize=_REMEMBERED)
def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address belongs to the public Internet. Mapped and NAT64 ones are judged by what they carry."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _V4_REFUSED)
    if address.scope_id is not None:
        return False
    if address in _V4_MAPPED or address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _V6_GLOBAL and not any(address in network for network in _V6_REFUSED)


@lru_cache(maxsize=_REMEMBERED)
def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """The IP address of a literal (with or without brackets), or None for a name."""
    try:
        return ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


@lru_cache(maxsize=_REMEMBERED)
def is_plain_name(host: str) -> bool:
    """Whether a host that is no IP literal may be looked up as a name.

    What ends in a number is an address in disguise (WHATWG URL, "ends in a number": `2130706433`, `127.1`, `0x7f.1`,
    `127.0.0.1.`) whatever the system's resolver thinks of it, and `localhost` is this machine (RFC 6761).
    """
    if not _NAME.fullmatch(host):
        return False
    last = host.rstrip(".").rpartition(".")[2].lower()
    return last != "localhost" and not _NUMBER.fullmatch(last)


@lru_cache(maxsize=_REMEMBERED)
def normal_host(host: str) -> str:
    """One spelling per host: lower case, no brackets, no trailing dot, IP literals in canonical form."""
    bare = host.strip().removeprefix("[").removesuffix("]").rstrip(".").lower()
    address = parse_address(bare)
    return str(address) if address is not None else bare


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """The `host:port` pairs that may be reached although they are not public."""

    pairs: frozenset[tuple[str, int]] = frozenset()

    def admits(self, host: str, port: int) -> bool:
        """Whether the operator listed exactly this host and port."""
        return (normal_host(host), port) in self.pairs


def parse_allowed_hosts(text: str) -> AllowedHosts:
    """`ALLOW_PRIVATE_HOSTS`: a comma list of host:port.

    Raises:
        ConfigurationError: an entry is not host:port.
    """
    pairs = set()
    for entry in filter(None, (part.strip() for part in text.split(","))):
        try:
            parts = urlsplit(f"//{entry}")
            host, port = parts.hostname or "", parts.port or 0
        except ValueError:
            host, port = "", 0
        if not host or not 0 < port <= _LAST_PORT or parts.username is not None or parts.netloc != entry:
            raise ConfigurationError(
                f"ALLOW_PRIVATE_HOSTS: {entry!r} is not host:port; write for example 127.0.0.1:8090 or sandbox:8090"
            )
        pairs.add((normal_host(host), port))
    return AllowedHosts(frozenset(pairs))


def allowed_hosts_from(environ: Mapping[str, str]) -> AllowedHosts:
    """The operator's list, empty when it is not set."""
    return parse_allowed_hosts(environ.get("ALLOW_PRIVATE_HOSTS", ""))


def host_matches(host: str, port: int, patterns: tuple[str, ...]) -> bool:
    """Whether a host is on a provider's list: `api.example.com`, `*.example.com`, either with `:port`."""
    name = normal_host(host)
    for pattern in patterns:
        wanted, wanted_port = _split(pattern)
        if wanted_port is not None and wanted_port != port:
            continue
        if name == wanted or (wanted.startswith("*.") and name.endswith(wanted[1:]) and len(name) > len(wanted) - 1):
            return True
    return False


def _split(pattern: str) -> tuple[str, int | None]:
    name, _, port = pattern.rpartition(":")
    has_port = port.isdigit() and (":" not in name or name.endswith("]"))
    return (normal_host(name), int(port)) if has_port and name else (normal_host(pattern), None)
