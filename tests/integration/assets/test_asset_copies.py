"""Outputs copied from a real file host into a real folder: what arrives, what is refused, and who sees the key."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web

from backstop_common.errors import TransientError
from backstop_common.providers.catalogue import load_catalogue
from backstop_recovery.adapters.addresses import parse_allowed_hosts
from backstop_recovery.adapters.asset_stores import open_asset_store
from backstop_recovery.adapters.guard import AddressGuard
from backstop_recovery.adapters.http_client import open_client
from backstop_recovery.adapters.obstore_assets import ObstoreAssets
from backstop_recovery.application.errors import OutputGoneError, OutputRefusedError
from backstop_recovery.application.ports import Reference, StoredAsset
from backstop_recovery.domain.verdict import Output, OutputRole
from tests.support.http_server import HttpServer, http_server, raw_server

TASK = UUID("00000000-0000-4000-8000-000000000001")
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
MP4 = b"\0\0\0\x18ftypisom\0\0\0\0isommp41" + b"\0" * 64
KEYS = {"REPLICATE_API_TOKEN": "r8_canary"}


class World:
    """A file host, a second one, and a folder between which files are copied."""

    def __init__(self, server: HttpServer, other: HttpServer, folder: Path) -> None:
        self.server, self.other, self.folder = server, other, folder
        self._clients: list[Any] = []

    def assets(
        self, *, allow: str | None = None, download: dict[str, Any] | None = None, **entry: Any
    ) -> ObstoreAssets:
        file = self.folder.parent / "providers.yaml"
        file.write_text(json.dumps({"providers": {"replicate": {"download": download or {}, **entry}}}))
        allowed = f"{self.server.host},{self.other.host}" if allow is None else allow
        client = open_client(AddressGuard(parse_allowed_hosts(allowed)))
        self._clients.append(client)
        return ObstoreAssets(
            store=open_asset_store(self.folder.as_uri(), None, {}),
            client=client,
            catalogue=load_catalogue(providers_file=file, environ=KEYS),
        )

    async def copy(self, url: str, *, assets: ObstoreAssets | None = None) -> StoredAsset:
        output = Output(index=0, role=OutputRole.PRIMARY, url=url)
        return await copy(self.assets() if assets is None else assets, output)

    @property
    def files(self) -> list[Path]:
        """Everything in the folder, unfinished uploads included."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    async def close(self) -> None:
        for client in self._clients:
            await client.close()


async def copy(assets: ObstoreAssets, output: Output, *, fence: int = 3) -> StoredAsset:
    return await assets.copy(reference=Reference("replicate", "x", {}), task_id=TASK, fence=fence, output=output)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with http_server() as server, http_server() as other:
        world = World(server, other, tmp_path / "assets")
        yield world
        await world.close()


async def test_a_small_file_arrives_with_size_hash_and_type(world: World) -> None:
    url = world.server.answer("/a.bin", PNG, headers={"Content-Type": "binary/octet-stream"})
    stored = await world.copy(url + "?sig=a%2Fb")
    assert stored == StoredAsset(
        0, OutputRole.PRIMARY, f"{TASK}/3-0.png", len(PNG), hashlib.sha256(PNG).hexdigest(), "image/png"
    )
    assert (world.folder / stored.key).read_bytes() == PNG
    assert world.server.asked[0].path == "/a.bin?sig=a%2Fb"


async def test_a_large_file_without_a_length_arrives_whole(world: World) -> None:
    blocks = [MP4, *(bytes([n]) * 300_000 for n in range(20))]

    async def stream(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for block in blocks:
            await response.write(block)
        return response

    stored = await world.copy(world.server.handle("/big", stream))
    whole = b"".join(blocks)
    assert (stored.size_bytes, stored.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())
    assert (world.folder / stored.key).read_bytes() == whole
    assert stored.content_type == "video/mp4"


async def test_a_later_fence_writes_beside_and_not_over(world: World) -> None:
    output = Output(index=1, role=OutputRole.THUMBNAIL, url=world.server.answer("/a", PNG))
    assets = world.assets()
    keys = {(await copy(assets, output, fence=fence)).key for fence in (1, 2)}
    assert keys == {f"{TASK}/1-1.png", f"{TASK}/2-1.png"}
    assert len(world.files) == 2


async def test_a_key_prefix_is_put_before(world: World) -> None:
    stored = await world.copy(world.server.answer("/a", PNG), assets=replace(world.assets(), prefix="videos/"))
    assert stored.key == f"videos/{TASK}/3-0.png"


async def test_inline_content_is_stored_without_any_request(world: World) -> None:
    stored = await copy(world.assets(), Output(index=0, role=OutputRole.PRIMARY, content=PNG))
    assert (world.folder / stored.key).read_bytes() == PNG
    assert world.server.asked == []


async def test_inline_content_that_is_no_media_is_refused(world: World) -> None:
    with pytest.raises(OutputRefusedError, match="no image, video"):
        await copy(world.assets(), Output(index=0, role=OutputRole.PRIMARY, content=b"<html>"))


@pytest.mark.parametrize("body", [b"<!DOCTYPE html>gone", b"<?xml version='1.0'?><Error/>", b'{"error": "expired"}'])
async def test_an_error_page_with_status_200_is_refused_and_nothing_is_stored(world: World, body: bytes) -> None:
    url = world.server.answer("/a.mp4", body, headers={"Content-Type": "video/mp4"})
    with pytest.raises(OutputRefusedError, match="declared as video/mp4"):
        await world.copy(url)
    assert world.files == []


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_a_file_that_is_no_longer_there_is_gone(world: World, status: int) -> None:
    with pytest.raises(OutputGoneError, match=f"HTTP {status}"):
        await world.copy(world.server.answer("/a", b"<Error/>", status=status))


@pytest.mark.parametrize("status", [204, 206, 408, 429, 500, 503])
async def test_a_file_host_in_trouble_is_tried_again(world: World, status: int) -> None:
    with pytest.raises(TransientError):
        await world.copy(world.server.answer("/a", b"", status=status))


async def test_a_wish_to_wait_is_passed_on_in_both_forms(world: World) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    for text, low, high in (("7", 7, 7), (later, 80, 90)):
        url = world.server.answer("/a", status=429, headers={"Retry-After": text})
        with pytest.raises(TransientError) as raised:
            await world.copy(url)
        assert raised.value.retry_after_seconds is not None
        assert low <= raised.value.retry_after_seconds <= high


@pytest.mark.parametrize("status", [400, 405, 422])
async def test_a_file_host_that_refuses_the_request_is_not_asked_again(world: World, status: int) -> None:
    with pytest.raises(OutputRefusedError):
        await world.copy(world.server.answer("/a", status=status))


async def test_an_empty_body_is_tried_again(world: World) -> None:
    with pytest.raises(TransientError, match="empty"):
        await world.copy(world.server.answer("/a", b""))


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n", PNG[:4000]],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n", PNG, b"x" * 3_000_000],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"8\r\n\x89PNG\r\n\x1a\n\r\n"],
        [
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"200000\r\n" + MP4.ljust(2**21) + b"\r\n",
        ],
        [],
    ],
)
async def test_a_truncated_file_is_tried_again_and_nothing_is_left(world: World, pieces: list[bytes]) -> None:
    async with raw_server(pieces) as host:
        with pytest.raises(TransientError):
            await world.copy(f"http://{host}/a", assets=world.assets(allow=host))
    assert world.files == []


async def test_a_file_that_stalls_is_tried_again_and_nothing_is_left(world: World) -> None:
    async with raw_server([b"HTTP/1.1 200 OK\r\n\r\n", MP4, b"x" * 2_000_000], stall_seconds=20) as host:
        assets = world.assets(allow=host, download={"timeout": {"read": "200ms"}})
        with pytest.raises(TransientError, match="in time"):
            await world.copy(f"http://{host}/a", assets=assets)
    assert world.files == []


async def test_the_total_time_is_limited_however_lively_the_host(world: World) -> None:
    async def drip(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(MP4 + b"x" * 2_000_000)
        for _ in range(1000):
            await response.write(b"x")
            await asyncio.sleep(0.02)
        return response

    assets = world.assets(download={"timeout": {"total": "300ms"}})
    with pytest.raises(TransientError, match="did not arrive within"):
        await world.copy(world.server.handle("/a", drip), assets=assets)
    assert world.files == []


async def test_an_announced_size_over_the_limit_is_refused_before_the_body(world: World) -> None:
    url = world.server.answer("/a", PNG)
    with pytest.raises(OutputRefusedError, match=f"has {len(PNG)} bytes"):
        await world.copy(url, assets=world.assets(download={"max_bytes": "5KiB"}))
    assert world.files == []


async def test_an_unannounced_size_over_the_limit_is_refused_on_the_way(world: World) -> None:
    async def large(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(MP4)
        for _ in range(64):
            await response.write(b"x" * 500_000)
        return response

    assets = world.assets(download={"max_bytes": "8MiB"})
    with pytest.raises(OutputRefusedError, match="larger than 8388608 bytes"):
        await world.copy(world.server.handle("/a", large), assets=assets)
    assert world.files == []


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:1/a",
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost:1/a",
        "https://[::1]/a",
        "https://2130706433/a",
        "file:///etc/passwd",
        "https://user:pass@h.example/a",
    ],
)
async def test_a_redirect_to_a_forbidden_address_is_refused(world: World, target: str) -> None:
    with pytest.raises(OutputRefusedError):
        await world.copy(world.server.redirect("/a", target))


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/x", "https://127.0.0.1:8090/x", "ftp://h/x", "https://[fd00::1]/"]
)
async def test_a_forbidden_address_is_refused(world: World, url: str) -> None:
    with pytest.raises(OutputRefusedError):
        await world.copy(url)


async def test_a_public_host_without_tls_is_refused(world: World) -> None:
    with pytest.raises(OutputRefusedError, match="without TLS"):
        await world.copy("http://files.example/a.mp4")


async def test_a_host_outside_the_providers_list_is_refused(world: World) -> None:
    assets = world.assets(download={"hosts": ["replicate.delivery", "*.replicate.delivery"]})
    with pytest.raises(OutputRefusedError, match=r"not in download\.hosts"):
        await world.copy(world.server.answer("/a", PNG), assets=assets)


async def test_a_redirect_out_of_the_providers_list_is_refused_and_the_other_host_never_asked(world: World) -> None:
    assets = world.assets(download={"hosts": [world.server.host]})
    assert (await world.copy(world.server.answer("/a", PNG), assets=assets)).size_bytes == len(PNG)
    with pytest.raises(OutputRefusedError, match=r"not in download\.hosts"):
        await world.copy(world.server.redirect("/b", world.other.answer("/b", PNG)), assets=assets)
    assert world.other.asked == []


async def test_five_redirects_are_followed_and_six_are_not(world: World) -> None:
    world.server.answer("/5", PNG)
    for hop in range(5):
        world.server.redirect(f"/{hop}", f"{hop + 1}")
    assert (await world.copy(world.server.url + "/0")).size_bytes == len(PNG)
    with pytest.raises(OutputRefusedError, match="redirects more than 5 times"):
        await world.copy(world.server.redirect("/start", "/0"))


async def test_no_key_is_sent_to_a_file_host(world: World) -> None:
    await world.copy(world.server.answer("/a", PNG))
    assert "Authorization" not in world.server.asked[0].headers


@pytest.mark.parametrize(
    "auth",
    [
        {"kind": "bearer", "token": "${REPLICATE_API_TOKEN}"},
        {"kind": "header", "name": "x-goog-api-key", "value": "${REPLICATE_API_TOKEN}"},
        {"kind": "query", "name": "key", "value": "${REPLICATE_API_TOKEN}"},
    ],
)
async def test_the_key_goes_to_the_listed_host_and_never_along_a_redirect(world: World, auth: dict[str, str]) -> None:
    world.server.redirect("/a", world.other.answer("/b", PNG))
    assets = world.assets(download={"auth": "same", "auth_hosts": [world.server.host]}, auth=auth)
    await world.copy(world.server.url + "/a", assets=assets)
    assert "canary" in str(world.server.asked)
    assert world.other.asked
    assert "canary" not in str(world.other.asked)


async def test_a_refused_key_is_no_proof_that_the_file_is_gone(world: World) -> None:
    assets = world.assets(download={"auth": "same", "auth_hosts": [world.server.host]})
    with pytest.raises(TransientError, match="HTTP 403"):
        await world.copy(world.server.answer("/a", status=403), assets=assets)


async def test_a_cancelled_copy_leaves_nothing_behind(world: World) -> None:
    sent = asyncio.Event()

    async def hang(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(MP4 + b"x" * 3_000_000)
        sent.set()
        await asyncio.sleep(30)
        return response

    task = asyncio.create_task(world.copy(world.server.handle("/a", hang)))
    await asyncio.wait_for(sent.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.files == []


async def test_many_copies_at_once_all_arrive(world: World) -> None:
    urls = [world.server.answer(f"/{n}", PNG + bytes([n]) * 1000) for n in range(40)]
    assets = world.assets()
    outputs = [Output(index=n, role=OutputRole.PRIMARY, url=url) for n, url in enumerate(urls)]
    stored = await asyncio.gather(*(copy(assets, output) for output in outputs))
    for n, asset in enumerate(stored):
        assert (world.folder / asset.key).read_bytes() == PNG + bytes([n]) * 1000


async def test_the_probe_leaves_no_file(world: World) -> None:
    await world.assets().check()
    assert world.files == []


async def test_a_store_that_went_away_is_tried_again(world: World) -> None:
    assets = world.assets()
    world.folder.rmdir()
    world.folder.write_text("a file where the folder was")
    with pytest.raises(TransientError, match="the asset store file:///"):
        await assets.check()
    with pytest.raises(TransientError, match="the asset store file:///"):
        await world.copy(world.server.answer("/a", PNG), assets=assets)


async def test_an_unknown_provider_is_refused(world: World) -> None:
    output = Output(index=0, role=OutputRole.PRIMARY, content=PNG)
    with pytest.raises(OutputRefusedError, match="no provider 'nobody'"):
        await world.assets().copy(reference=Reference("nobody", "x", {}), task_id=TASK, fence=1, output=output)
