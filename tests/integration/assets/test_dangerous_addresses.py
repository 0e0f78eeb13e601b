"""The dangerous addresses in all their spellings: refused as an output's address and as the target of a redirect.

The resolver of these tests knows every trick of inet_aton, so that nothing is refused only because a name is unknown.
Whatever would be dialled is written down, and no socket to anybody but the loopback file host is ever opened.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest

from backstop_common.errors import TransientError
from backstop_common.providers.catalogue import load_catalogue
from backstop_recovery.adapters.addresses import parse_allowed_hosts
from backstop_recovery.adapters.asset_stores import open_asset_store
from backstop_recovery.adapters.guard import AddressGuard, AddressInfo
from backstop_recovery.adapters.http_client import open_client
from backstop_recovery.adapters.obstore_assets import ObstoreAssets
from backstop_recovery.application.errors import OutputGoneError, OutputRefusedError
from backstop_recovery.application.ports import Reference, StoredAsset
from backstop_recovery.domain.verdict import Output, OutputRole
from tests.support.http_server import HttpServer, http_server

TASK = UUID("00000000-0000-4000-8000-000000000001")
PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 2000
PUBLIC = "93.184.216.34"
SPELLINGS = [
    # Loopback: decimal, octal, hex, short forms, other addresses of the network, "this network".
    "127.0.0.1",
    "127.0.0.2",
    "127.255.255.254",
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0X7F000001",
    "0x7f.0.0.1",
    "0x7f.0x0.0x0.0x1",
    "0177.0.0.1",
    "0177.0.0.01",
    "127.1",
    "127.0.1",
    "0x7f.1",
    "00000000177.1",
    "0",
    "0.0.0.0",  # noqa: S104 - an address to refuse
    "0x0",
    "00",
    "127.0.0.1.",
    "2130706433.",
    "127.1.",
    # Names of this machine.
    "localhost",
    "localhost.",
    "LOCALHOST",
    "LocalHost.",
    "anything.localhost",
    "localho\u017ft",
    "\u24dbocalhost",
    # Other digits and dots.
    "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460",
    "\uff11\uff12\uff17.0.0.1",
    "127\u30020\u30020\u30021",
    "127\uff0e0\uff0e0\uff0e1",
    "127.0.0.\u0661",
    # Private, shared, link-local, metadata, wire server, reserved, multicast, documentation.
    "10.0.0.1",
    "167772161",
    "0xa000001",
    "012.1",
    "10.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "0xc0a80001",
    "192.168.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.254.170.2",
    "169.254.169.254.",
    "168.63.129.16",
    "192.0.0.192",
    "198.18.0.1",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "4294967295",
    # IPv6: loopback, unspecified, mapped, compatible, translated, NAT64, 6to4, Teredo, local, zones.
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::0001]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::FFFF:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[0:0:0:0:0:ffff:10.0.0.1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::10.0.0.1]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2001::7f00:1]",
    "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fe80::1%eth0]",
    "[::1%25lo]",
    "[2606:4700::1111%25eth0]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fec0::1]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[v1.127]",
    # Somebody in front of the host, something behind it.
    "public.example@127.0.0.1",
    "public.example:pw@169.254.169.254",
    "@127.0.0.1",
    "127.0.0.1%2e",
    "127.0.0.1%00.public.example",
    "public.example\\@127.0.0.1",
    "127.0.0.1\t",
    "%31%32%37.0.0.1",
    # A name whose records are all private, or only one of them.
    "private.example",
    "mixed.example",
    "mapped.example",
]
NO_ADDRESSES = [
    "file:///etc/passwd",
    "ftp://public.example/a",
    "gopher://127.0.0.1:6379/_INFO",
    "dict://127.0.0.1:11211/stats",
    "data:text/html,x",
    "jar:http://public.example!/x",
    "//127.0.0.1/x",
    "http:127.0.0.1/x",
    "http:/127.0.0.1/x",
    "http:///127.0.0.1/x",
    "http://",
    "http://:80/",
    "HTTP://127.0.0.1:1/",
    "http://public.example:0/",
    "http://public.example:99999/",
    "http://public.example:80:80/",
    " \thttp://127.0.0.1/",
]
RECORDS = {
    "mixed.example": [PUBLIC, "10.0.0.1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "public.example": [PUBLIC],
}


def info(address: str, port: int) -> AddressInfo:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return (family, socket.SOCK_STREAM, 6, "", (address, port))


@dataclass(frozen=True, slots=True)
class WatchedGuard(AddressGuard):
    """Writes down what passed the check, and dials loopback only."""

    dialled: list[str] = field(default_factory=list)

    def open_socket(self, info: AddressInfo) -> socket.socket:
        opened = super(WatchedGuard, self).open_socket(info)
        self.dialled.append(info[4][0])
        if info[4][0] != "127.0.0.1":
            opened.close()
            raise OSError(101, "these tests dial loopback only")
        return opened


class World:
    """A file host on loopback that is allowed, and a resolver that would lead everywhere else."""

    def __init__(self, server: HttpServer, folder: Path) -> None:
        self.server = server
        self.asked: list[str] = []
        self.answers: list[list[str]] = []
        self.guard = WatchedGuard(parse_allowed_hosts(server.host))
        self.client = open_client(self.guard, lookup=self.lookup)
        file = folder / "providers.yaml"
        file.write_text(json.dumps({"providers": {"replicate": {"download": {"https_only": False}}}}))
        self.assets = ObstoreAssets(
            store=open_asset_store((folder / "assets").as_uri(), None, {}),
            client=self.client,
            catalogue=load_catalogue(providers_file=file, environ={"REPLICATE_API_TOKEN": "canary"}),
        )

    async def lookup(self, host: str, port: int, _family: socket.AddressFamily) -> list[AddressInfo]:
        await asyncio.sleep(0)
        self.asked.append(host)
        addresses = self.answers.pop(0) if self.answers else RECORDS.get(host.rstrip("."), ["127.0.0.1"])
        return [info(address, port) for address in addresses]

    async def copy(self, url: str) -> StoredAsset:
        output = Output(index=0, role=OutputRole.PRIMARY, url=url)
        return await self.assets.copy(reference=Reference("replicate", "x", {}), task_id=TASK, fence=1, output=output)

    async def taken(self, urls: Iterable[str]) -> list[str]:
        """Those that were not refused."""
        found = []
        for url in urls:
            try:
                await self.copy(url)
            except OutputRefusedError:
                continue
            except (TransientError, OutputGoneError) as error:
                found.append(f"{url}: {error}")
            else:
                found.append(url)
        return found


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with http_server() as server:
        world = World(server, tmp_path)
        yield world
        await world.client.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_dangerous_host_is_refused_and_never_dialled(world: World, scheme: str) -> None:
    assert await world.taken(f"{scheme}://{host}:8080/latest/meta-data" for host in SPELLINGS) == []
    assert world.guard.dialled == []


async def test_a_redirect_to_a_dangerous_host_is_refused_and_never_followed(world: World) -> None:
    starts = [
        world.server.redirect(f"/{number}", f"http://{host}/latest/meta-data") for number, host in enumerate(SPELLINGS)
    ]
    assert await world.taken(starts) == []
    assert set(world.guard.dialled) == {"127.0.0.1"}
    assert [asked.path for asked in world.server.asked] == [f"/{number}" for number in range(len(SPELLINGS))]


async def test_what_is_no_plain_web_address_is_refused(world: World) -> None:
    assert await world.taken(NO_ADDRESSES) == []
    assert world.guard.dialled == []


async def test_a_public_name_is_dialled_where_it_was_checked_and_not_where_it_points_a_moment_later(
    world: World,
) -> None:
    world.answers = [[PUBLIC], ["127.0.0.1"], ["10.0.0.1"]]
    for _ in range(3):
        with pytest.raises((OutputRefusedError, TransientError)):
            await world.copy("https://rebinding.example/a")
    assert set(world.guard.dialled) == {PUBLIC}


async def test_a_name_that_turns_private_between_two_hops_is_refused_at_the_second(world: World) -> None:
    world.answers = [["169.254.169.254"]]
    start = world.server.redirect("/start", "http://rebinding.example/a")
    with pytest.raises(OutputRefusedError, match=r"resolves to 169\.254\.169\.254"):
        await world.copy(start)
    assert world.guard.dialled == ["127.0.0.1"]


async def test_a_public_name_is_looked_up_past_all_search_domains(world: World) -> None:
    with pytest.raises(TransientError):
        await world.copy("https://public.example/a")
    assert world.asked == ["public.example."]
    assert world.guard.dialled == [PUBLIC]


async def test_the_listed_host_itself_is_still_reached_by_its_own_spelling_only(world: World) -> None:
    port = world.server.host.split(":")[1]
    url = world.server.answer("/a", PNG)
    assert (await world.copy(url)).size_bytes == len(PNG)
    for host in ("127.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"):  # noqa: S104 - an address to refuse
        with pytest.raises(OutputRefusedError):
            await world.copy(f"http://{host}:{port}/a")
    assert len(world.server.asked) == 1


async def test_a_file_hosts_cookies_are_not_kept(world: World) -> None:
    url = world.server.answer("/a", PNG, headers={"Set-Cookie": "session=x; Path=/"})
    for _ in range(2):
        await world.copy(url)
    assert "Cookie" not in world.server.asked[1].headers
