"""The sandbox's faults, byte for byte where that is the point: each is what its word promises, on both sides."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

import backstop_sandbox
from backstop_sandbox import Sandbox
from backstop_sandbox.faults.words import FAULTS_OF, Fault, Side

KEY = {"Authorization": "Bearer a-key"}
CREDENTIALS = "Authorization: Bearer a-key"
README = Path(backstop_sandbox.__file__).parents[2] / "README.md"
QUIET_SECONDS = 1.2


@dataclass(frozen=True, slots=True)
class Heard:
    """What came over the socket within a while."""

    data: bytes
    reset: bool
    ended: bool

    @property
    def head(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]


async def listen(url: str, path: str, *, enough: int = 2**24, seconds: float = 5) -> Heard:
    """Ask by hand and read until the end, a reset, `enough` bytes or the time is over."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    data, reset, ended = bytearray(), False, False
    try:
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n{CREDENTIALS}\r\n\r\n".encode()
        )
        async with asyncio.timeout(seconds):
            while len(data) < enough:
                part = await reader.read(2**16)
                if not part:
                    ended = True
                    break
                data += part
    except ConnectionResetError:
        reset = True
    except TimeoutError:
        ended = False
    finally:
        writer.close()
    return Heard(bytes(data), reset, ended)


async def addresses(client: httpx.AsyncClient, **fields: Any) -> dict[Side, str]:
    answer = await client.post("/control/generations", json={"provider": "replicate", "id": "abc"} | fields)
    assert answer.status_code == 201, answer.text
    return {Side.API: "/replicate/v1/predictions/abc", Side.FILE: answer.json()["generations"][0]["files"][0]}


async def faulty(client: httpx.AsyncClient, side: Side, word: str, **more: Any) -> str:
    return (await addresses(client, **{f"{side}_fault": word}, **more))[side]


@pytest.mark.parametrize("side", list(Side))
async def test_a_connection_is_reset_before_or_within_the_answer(
    sandbox: Sandbox, client: httpx.AsyncClient, side: Side
) -> None:
    before = await listen(sandbox.url, await faulty(client, side, "reset_before"))
    within = await listen(sandbox.url, await faulty(client, side, "reset_within"))
    assert (before.data, before.reset, within.reset) == (b"", True, True)
    assert within.head.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("side", list(Side))
async def test_headers_and_bodies_crawl(sandbox: Sandbox, client: httpx.AsyncClient, side: Side) -> None:
    head = await listen(sandbox.url, await faulty(client, side, "slow_headers"), seconds=QUIET_SECONDS)
    body = await listen(sandbox.url, await faulty(client, side, "slow_body"), seconds=QUIET_SECONDS)
    assert not head.ended
    assert b"\r\n\r\n" not in head.data
    assert head.data.count(b"X-Wait") >= 2
    assert not body.ended
    assert 2 <= len(body.body) <= 5


@pytest.mark.parametrize("side", list(Side))
async def test_bodies_end_too_early(sandbox: Sandbox, client: httpx.AsyncClient, side: Side) -> None:
    short = await listen(sandbox.url, await faulty(client, side, "cut_short"))
    chunked = await listen(sandbox.url, await faulty(client, side, "chunk_cut"))
    huge = await listen(sandbox.url, await faulty(client, side, "huge_length"))
    announced = int(short.head.partition(b"Content-Length: ")[2].split()[0])
    assert len(short.body) == announced // 2
    assert b"Transfer-Encoding: chunked" in chunked.head
    assert not chunked.body.endswith(b"0\r\n\r\n")
    assert b"Content-Length: 10000000000" in huge.head
    assert len(huge.body) < 100_000
    assert short.ended
    assert chunked.ended
    assert huge.ended


@pytest.mark.parametrize("side", list(Side))
async def test_an_endless_body_goes_on_as_long_as_it_is_read(
    sandbox: Sandbox, client: httpx.AsyncClient, side: Side
) -> None:
    heard = await listen(sandbox.url, await faulty(client, side, "endless"), enough=2**24)
    assert len(heard.data) >= 2**24
    assert (await client.get("/livez")).status_code == 200


@pytest.mark.parametrize("side", list(Side))
async def test_encoded_bodies_are_bombs_or_end_too_early(
    sandbox: Sandbox, client: httpx.AsyncClient, side: Side
) -> None:
    bomb = await listen(sandbox.url, await faulty(client, side, "gzip_bomb"))
    brotli = await listen(sandbox.url, await faulty(client, side, "brotli_bomb"))
    cut = await listen(sandbox.url, await faulty(client, side, "gzip_cut"))
    assert b"content-encoding: gzip" in bomb.head
    assert len(bomb.body) < 2**20
    assert len(gzip.decompress(bomb.body)) > 256 * 2**20
    assert (b"content-encoding: br" in brotli.head, len(brotli.body)) == (True, 244)
    unpacking = zlib.decompressobj(31)
    unpacking.decompress(cut.body)
    assert not unpacking.eof


@pytest.mark.parametrize("side", list(Side))
async def test_headers_are_too_large_too_many_or_no_text(
    sandbox: Sandbox, client: httpx.AsyncClient, side: Side
) -> None:
    huge = await listen(sandbox.url, await faulty(client, side, "huge_header"))
    many = await listen(sandbox.url, await faulty(client, side, "many_headers"))
    odd = await listen(sandbox.url, await faulty(client, side, "odd_header"))
    assert max(map(len, huge.head.splitlines())) > 65536
    assert len(many.head.splitlines()) > 1000
    assert b"content-type: image/\xff\xfe" in odd.head


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(
    ("word", "location"),
    [
        ("redirect_loopback", "http://0.0.0.0:{port}/elsewhere{path}"),
        ("redirect_mapped", "http://[::ffff:127.0.0.1]:{port}/elsewhere{path}"),
        ("redirect_private", "http://10.0.0.1:{port}/elsewhere{path}"),
        ("redirect_metadata", "http://169.254.169.254/latest/meta-data/iam/security-credentials/"),
        ("redirect_file", "file:///etc/passwd"),
        ("redirect_userinfo", "http://admin:admin@127.0.0.1:{port}/elsewhere{path}"),
        ("redirect_loop", "http://127.0.0.1:{port}{path}"),
        ("redirect_elsewhere", "http://localhost:{port}/elsewhere{path}"),
    ],
)
async def test_redirects_lead_astray(
    sandbox: Sandbox, client: httpx.AsyncClient, side: Side, word: str, location: str
) -> None:
    path = await faulty(client, side, word)
    answer = await client.get(path, headers=KEY)
    port = sandbox.url.rsplit(":", 1)[1]
    assert (answer.status_code, answer.headers["location"]) == (302, location.format(port=port, path=path))


@pytest.mark.parametrize("spelling", ["0.0.0.0", "[::ffff:127.0.0.1]", "localhost"])  # noqa: S104 - dialled
async def test_who_is_led_astray_is_remembered_with_all_that_it_gave_away(
    sandbox: Sandbox, client: httpx.AsyncClient, spelling: str
) -> None:
    file = (await addresses(client))[Side.FILE]
    port = sandbox.url.rsplit(":", 1)[1]
    lie = await client.get(f"http://{spelling}:{port}/elsewhere/api?key=canary", headers={"x-key": "canary"})
    whole = await client.get(f"http://{spelling}:{port}/elsewhere{file}")
    visits = (await client.get("/control/visits")).json()["visits"]
    assert lie.json()["status"] == "failed"
    assert whole.headers["content-type"] == "image/png"
    assert [visit["path"] for visit in visits] == ["/elsewhere/api?key=canary", f"/elsewhere{file}"]
    assert visits[0]["headers"]["x-key"] == "canary"


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(
    ("word", "status", "retry_after"),
    [
        ("status_500", 500, None),
        ("status_502", 502, None),
        ("status_503", 503, None),
        ("throttled_seconds", 429, "2"),
        ("throttled_date", 429, "GMT"),
        ("no_content", 204, None),
    ],
)
async def test_statuses_are_what_their_words_say(
    client: httpx.AsyncClient, side: Side, word: str, status: int, retry_after: str | None
) -> None:
    answer = await client.get(await faulty(client, side, word), headers=KEY)
    assert answer.status_code == status
    assert (retry_after or "") in answer.headers.get("retry-after", "")


@pytest.mark.parametrize("side", list(Side))
async def test_a_flapping_thing_is_there_at_every_second_look(client: httpx.AsyncClient, side: Side) -> None:
    path = await faulty(client, side, "flapping")
    assert [(await client.get(path, headers=KEY)).status_code for _ in range(4)] == [404, 200, 404, 200]


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(
    ("word", "start", "media_type"),
    [
        ("html", b"<!doctype", "text/html; charset=utf-8"),
        ("xml", b"<?xml", "application/xml"),
        ("text", b"upstream", "text/plain"),
        ("empty", b"", None),
    ],
)
async def test_other_things_come_with_status_200(
    client: httpx.AsyncClient, side: Side, word: str, start: bytes, media_type: str | None
) -> None:
    answer = await client.get(await faulty(client, side, word), headers=KEY)
    assert answer.status_code == 200
    assert answer.content.startswith(start)
    assert media_type is None or answer.headers["content-type"] == media_type
    assert word != "empty" or answer.content == b""


async def test_files_are_something_else_or_two_things_at_once(client: httpx.AsyncClient) -> None:
    found = {}
    for word in ("json", "script", "polyglot", "wrong_type"):
        answer = await client.get(await faulty(client, Side.FILE, word))
        found[word] = (answer.content[:9], answer.headers["content-type"])
    assert found == {
        "json": (b'{"error":', "application/json"),
        "script": (b"#!/bin/sh", "image/png"),
        "polyglot": (b"GIF89a/*\x00", "image/gif"),
        "wrong_type": (b"\x89PNG\r\n\x1a\n\x00", "text/html"),
    }


async def test_api_answers_are_no_json_or_make_no_sense(client: httpx.AsyncClient) -> None:
    bodies = {
        word: (await client.get(await faulty(client, Side.API, word), headers=KEY)).content
        for word in ("null", "invalid_json", "wrong_charset", "deep_json", "wide_json", "huge_numbers", "unknown_state")
    }
    assert bodies["null"] == b"null"
    with pytest.raises(ValueError, match="line 1"):
        json.loads(bodies["invalid_json"])
    with pytest.raises(UnicodeDecodeError):
        bodies["wrong_charset"].decode()
    with pytest.raises(RecursionError):
        json.loads(bodies["deep_json"])
    with pytest.raises(ValueError, match="limit"):
        json.loads(bodies["huge_numbers"])
    assert len(json.loads(bodies["wide_json"])["more"]) == 2_000_001
    assert json.loads(bodies["unknown_state"])["status"] == "transmogrified"


async def test_a_fault_ends_after_its_times(client: httpx.AsyncClient) -> None:
    paths = await addresses(client, api_fault="status_500", file_fault="html", fault_times=2)
    polls = [(await client.get(paths[Side.API], headers=KEY)).status_code for _ in range(3)]
    files = [(await client.get(paths[Side.FILE])).headers["content-type"] for _ in range(3)]
    assert polls == [500, 500, 200]
    assert files[1:] == ["text/html; charset=utf-8", "image/png"]


async def test_the_whole_world_misbehaves_until_it_is_told_to_stop(client: httpx.AsyncClient) -> None:
    paths = await addresses(client)
    on = await client.put("/control/faults", json={"api": "status_502", "file": "html"})
    assert on.json()["on"]["api"] == {"fault": "status_502", "times": None}
    assert (await client.get(paths[Side.API], headers=KEY)).status_code == 502
    assert (await client.get(paths[Side.FILE])).headers["content-type"] == "text/html; charset=utf-8"
    page = (await client.get("/")).text
    assert "every provider: status_502" in page
    assert "the file host: html" in page
    await client.put("/control/faults", json={"api": "status_500", "times": 1})
    answers = [(await client.get(paths[Side.API], headers=KEY)).status_code for _ in range(2)]
    assert answers == [500, 200]
    assert (await client.get(paths[Side.FILE])).headers["content-type"] == "image/png"


async def test_a_scripts_faults_are_on_the_page(client: httpx.AsyncClient) -> None:
    await addresses(client, api_fault="deep_json", file_fault="gzip_bomb")
    page = (await client.get("/")).text
    assert "api: deep json" in page
    assert "file: gzip bomb" in page


async def test_a_file_that_stays_broken_is_said_to_be_unreadable(client: httpx.AsyncClient) -> None:
    async def readable(**fields: Any) -> bool:
        await addresses(client, **fields)
        return bool((await client.get("/control/files")).json()["files"][0]["readable"])

    assert not await readable(file_fault="cut_short")
    assert await readable(file_fault="cut_short", fault_times=1)
    assert await readable(file_fault="redirect_elsewhere")


@pytest.mark.parametrize(
    ("body", "field"),
    [({"api": "json"}, "api"), ({"file": "null"}, "file"), ({"api": 1}, "api"), ({"both": "html"}, "both")],
)
async def test_a_wrong_fault_is_refused_with_its_field_named(
    client: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    answer = await client.put("/control/faults", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(f"{field}:")


def test_the_readme_tells_what_every_word_does() -> None:
    told = README.read_text()
    assert [fault for fault in Fault if f"`{fault}`" not in told] == []


def test_every_word_can_be_turned_on_somewhere() -> None:
    assert FAULTS_OF[Side.API] | FAULTS_OF[Side.FILE] == set(Fault)
