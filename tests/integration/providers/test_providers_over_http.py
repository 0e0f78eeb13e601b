"""Providers asked over real HTTP: where keys go, where they do not, and what each kind of trouble becomes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from backstop_common.providers.catalogue import load_catalogue
from backstop_recovery.adapters.addresses import parse_allowed_hosts
from backstop_recovery.adapters.declarative_providers import DeclarativeProviders
from backstop_recovery.adapters.guard import AddressGuard, AddressInfo, Lookup, look_up
from backstop_recovery.adapters.http_client import HttpClient, open_client
from backstop_recovery.application.ports import Reference
from backstop_recovery.domain.verdict import Failed, StillRunning, Succeeded, Unknown, UnknownReason, Verdict
from tests.support.http_server import HttpServer, http_server, raw_server

KEYS = {
    "REPLICATE_API_TOKEN": "r8_canary",
    "FAL_KEY": "fal_canary",
    "KIE_API_KEY": "kie_canary",
    "OTHER": "other_canary",
}


class World:
    """A provider, a second host, and the adapter between them."""

    def __init__(self, server: HttpServer, other: HttpServer, folder: Path) -> None:
        self.server, self.other = server, other
        self.observed: list[tuple[str, str]] = []
        self._folder = folder
        self._clients: list[HttpClient] = []

    def providers(
        self,
        *,
        allow: str | None = None,
        environ: dict[str, str] | None = None,
        timeout_seconds: float = 5.0,
        lookup: Lookup = look_up,
        **entry: Any,
    ) -> DeclarativeProviders:
        entries = {
            "replicate": {"base_url": f"{self.server.url}/v1"},
            "fal": {"base_url": self.server.url},
            "kie_market": {"base_url": self.server.url},
            **entry,
        }
        file = self._folder / "providers.yaml"
        file.write_text(json.dumps({"providers": entries}))
        allowed = f"{self.server.host},{self.other.host}" if allow is None else allow
        client = open_client(AddressGuard(parse_allowed_hosts(allowed)), lookup=lookup)
        self._clients.append(client)
        return DeclarativeProviders(
            catalogue=load_catalogue(providers_file=file, environ=KEYS if environ is None else environ),
            client=client,
            observe=lambda provider, code, _seconds: self.observed.append((provider, code)),
            timeout_seconds=timeout_seconds,
            max_body_bytes=100_000,
        )

    async def check(self, name: str, identity: str = "task-1", **extra: str) -> Verdict:
        return await self.providers().check(Reference(name, identity, extra))

    async def close(self) -> None:
        for client in self._clients:
            await client.close()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with http_server() as server, http_server() as other:
        world = World(server, other, tmp_path)
        yield world
        await world.close()


def is_unknown(verdict: Verdict, reason: UnknownReason) -> str:
    assert isinstance(verdict, Unknown), verdict
    assert verdict.reason is reason, verdict
    assert "canary" not in verdict.message
    return verdict.message


async def test_replicate_is_asked_with_its_bearer_token(world: World) -> None:
    world.server.answer("/v1/predictions/task-1", b'{"status": "processing"}')
    assert await world.check("replicate") == StillRunning(False, "processing")
    assert world.server.asked[0].headers["Authorization"] == "Bearer r8_canary"
    assert world.server.asked[0].headers["Accept-Encoding"] == "identity"
    assert world.observed == [("replicate", "200")]


async def test_kie_is_asked_with_the_id_in_the_query(world: World) -> None:
    world.server.answer("/api/v1/jobs/recordInfo", b'{"code": 200, "data": {"state": "waiting"}}')
    assert await world.check("kie", "a&b=c/../d") == StillRunning(True, "waiting")
    assert world.server.asked[0].path == "/api/v1/jobs/recordInfo?taskId=a%26b%3Dc%2F..%2Fd"


async def test_a_hostile_id_stays_one_segment_of_the_path(world: World) -> None:
    await world.check("replicate", "../../v1/organization?x#y")
    assert world.server.asked[0].path == "/v1/predictions/..%2F..%2Fv1%2Forganization%3Fx%23y"


@pytest.mark.parametrize("identity", ["..", ".", "x" * 3000, "\ud800"])
async def test_an_id_that_cannot_be_a_segment_is_never_sent(world: World, identity: str) -> None:
    is_unknown(await world.check("replicate", identity), UnknownReason.BAD_REFERENCE)
    assert world.server.asked == []


async def test_fal_is_asked_twice_and_its_result_decides(world: World) -> None:
    world.server.answer("/owner/app/requests/task-1/status", b'{"status": "COMPLETED"}')
    world.server.answer("/owner/app/requests/task-1", b'{"video": {"url": "https://f.example/a.mp4"}}')
    verdict = await world.check("fal", app="owner/app")
    assert isinstance(verdict, Succeeded)
    assert [request.headers["Authorization"] for request in world.server.asked] == ["Key fal_canary"] * 2


async def test_fals_replayed_model_error_is_a_failure(world: World) -> None:
    world.server.answer("/owner/app/requests/task-1/status", b'{"status": "COMPLETED"}')
    world.server.answer("/owner/app/requests/task-1", b'{"detail": [{"msg": "bad", "type": "t"}]}', status=422)
    assert await world.check("fal", app="owner/app") == Failed("bad", "t")


async def test_fals_stored_addresses_are_used_as_they_are(world: World) -> None:
    status = world.server.answer("/deep/path/status", b'{"status": "COMPLETED"}', status=202)
    result = world.server.answer("/deep/path/result", b'{"images": [{"url": "https://f.example/a.png"}]}')
    assert isinstance(await world.check("fal", status_url=status, response_url=result), Succeeded)


async def test_a_stored_address_outside_allow_hosts_is_never_asked(world: World) -> None:
    address = world.other.answer("/status", b'{"status": "COMPLETED"}')
    message = is_unknown(await world.check("fal", status_url=address), UnknownReason.BAD_REFERENCE)
    assert "not in allow_hosts" in message
    assert world.other.asked == []


async def test_an_address_from_the_body_outside_allow_hosts_is_never_asked(world: World) -> None:
    body = json.dumps({"status": "COMPLETED", "response_url": world.other.answer("/evil", b"{}")}).encode()
    status = world.server.answer("/s", body)
    is_unknown(await world.check("fal", status_url=status), UnknownReason.BAD_REFERENCE)
    assert world.other.asked == []


async def test_a_missing_part_of_the_reference_is_named(world: World) -> None:
    message = is_unknown(await world.check("fal"), UnknownReason.BAD_REFERENCE)
    assert message == "fal needs status_url or app, id to be asked; store it with the task"


async def test_a_missing_key_is_named_and_nothing_is_asked(world: World) -> None:
    verdict = await world.providers(environ={}).check(Reference("replicate", "x", {}))
    message = is_unknown(verdict, UnknownReason.AUTH_ERROR)
    assert message == "REPLICATE_API_TOKEN is not set; set it to ask replicate about its tasks"
    assert world.server.asked == []


async def test_an_unknown_provider_is_named(world: World) -> None:
    assert "no provider 'nobody'" in is_unknown(await world.check("nobody"), UnknownReason.BAD_REFERENCE)


async def test_a_redirect_to_another_origin_is_not_followed(world: World) -> None:
    world.server.redirect("/v1/predictions/task-1", world.other.answer("/x", b'{"status": "failed"}'))
    is_unknown(await world.check("replicate"), UnknownReason.UNREACHABLE)
    assert world.other.asked == []


async def test_a_redirect_within_the_origin_is_followed_with_the_key(world: World) -> None:
    world.server.redirect("/v1/predictions/task-1", "/v2/task-1", status=307)
    world.server.answer("/v2/task-1", b'{"status": "starting"}')
    assert await world.check("replicate") == StillRunning(True, "starting")
    assert world.server.asked[1].headers["Authorization"] == "Bearer r8_canary"


async def test_a_redirect_in_a_circle_ends(world: World) -> None:
    world.server.redirect("/v1/predictions/task-1", "/v1/predictions/task-1")
    is_unknown(await world.check("replicate"), UnknownReason.UNREACHABLE)
    assert len(world.server.asked) == 4


async def test_a_private_provider_that_nobody_allowed_is_refused_with_the_remedy(world: World) -> None:
    verdict = await world.providers(allow="").check(Reference("replicate", "x", {}))
    assert "ALLOW_PRIVATE_HOSTS" in is_unknown(verdict, UnknownReason.UNREACHABLE)
    assert world.server.asked == []
    assert world.observed == [("replicate", "refused")]


async def test_a_name_that_resolves_to_loopback_is_refused(world: World) -> None:
    port = world.server.host.split(":")[1]
    providers = world.providers(allow="", replicate={"base_url": f"http://localhost:{port}/v1"})
    is_unknown(await providers.check(Reference("replicate", "x", {})), UnknownReason.UNREACHABLE)
    assert world.server.asked == []


async def test_a_listed_name_that_resolves_to_loopback_is_asked(world: World) -> None:
    port = world.server.host.split(":")[1]
    world.server.answer("/v1/predictions/x", b'{"status": "starting"}')
    providers = world.providers(allow=f"localhost:{port}", replicate={"base_url": f"http://localhost:{port}/v1"})
    assert await providers.check(Reference("replicate", "x", {})) == StillRunning(True, "starting")


@pytest.mark.parametrize(
    "host", ["2130706433", "127.1", "0x7f.0.0.1", "0177.0.0.1", "[::ffff:127.0.0.1]", "127.0.0.1."]
)
async def test_no_spelling_of_loopback_is_asked(world: World, host: str) -> None:
    port = world.server.host.split(":")[1]
    providers = world.providers(allow="", replicate={"base_url": f"http://{host}:{port}/v1"})
    is_unknown(await providers.check(Reference("replicate", "x", {})), UnknownReason.UNREACHABLE)
    assert world.server.asked == []


async def test_a_name_with_one_private_record_is_never_dialled(world: World) -> None:
    async def rebinding(_host: str, port: int, _family: socket.AddressFamily) -> list[AddressInfo]:
        await asyncio.sleep(0)
        addresses = ("93.184.216.34", "127.0.0.1")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    port = world.server.host.split(":")[1]
    base_url = f"http://provider.example:{port}"
    providers = world.providers(lookup=rebinding, replicate={"base_url": base_url})
    message = is_unknown(await providers.check(Reference("replicate", "x", {})), UnknownReason.UNREACHABLE)
    assert "resolves to 127.0.0.1" in message
    assert world.server.asked == []


async def test_a_name_that_does_not_resolve_is_unreachable(world: World) -> None:
    async def unknown(_host: str, _port: int, _family: socket.AddressFamily) -> list[AddressInfo]:
        await asyncio.sleep(0)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    providers = world.providers(lookup=unknown, replicate={"base_url": "https://provider.example"})
    is_unknown(await providers.check(Reference("replicate", "x", {})), UnknownReason.UNREACHABLE)


async def test_a_closed_port_is_unreachable(world: World, unused_tcp_port: int) -> None:
    host = f"127.0.0.1:{unused_tcp_port}"
    providers = world.providers(allow=host, replicate={"base_url": f"http://{host}"})
    is_unknown(await providers.check(Reference("replicate", "x", {})), UnknownReason.UNREACHABLE)


async def test_a_provider_that_never_answers_is_timed_out(world: World) -> None:
    async def never(_request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    world.server.handle("/v1/predictions/x", never)
    verdict = await world.providers(timeout_seconds=0.2).check(Reference("replicate", "x", {}))
    is_unknown(verdict, UnknownReason.TIMED_OUT)
    assert world.observed == [("replicate", "timeout")]


async def test_an_answer_larger_than_the_cap_is_unparsable(world: World) -> None:
    world.server.answer("/v1/predictions/task-1", b'{"status": "failed", "logs": "' + b"x" * 200_000 + b'"}')
    is_unknown(await world.check("replicate"), UnknownReason.UNPARSABLE)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b'{"status": "failed"}'],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b'14\r\n{"status": "failed"}\r\n'],
        [b"nonsense\r\n\r\n"],
        [],
    ],
)
async def test_a_broken_answer_is_unreachable(world: World, pieces: list[bytes]) -> None:
    async with raw_server(pieces) as host:
        providers = world.providers(allow=host, replicate={"base_url": f"http://{host}"})
        is_unknown(await providers.check(Reference("replicate", "x", {})), UnknownReason.UNREACHABLE)


async def test_the_key_as_a_query_parameter_goes_there(world: World) -> None:
    world.server.answer("/v1/predictions/x", b'{"status": "starting"}')
    auth = {"kind": "query", "name": "key", "value": "${OTHER}"}
    providers = world.providers(replicate={"base_url": f"{world.server.url}/v1", "auth": auth})
    assert await providers.check(Reference("replicate", "x", {})) == StillRunning(True, "starting")
    assert world.server.asked[0].path == "/v1/predictions/x?key=other_canary"
    assert "Authorization" not in world.server.asked[0].headers


async def test_a_signed_token_is_made_for_each_request(world: World) -> None:
    world.server.answer("/v1/predictions/x", b'{"status": "starting"}')
    auth = {"kind": "jwt_hs256", "key_id": "${FAL_KEY}", "secret": "${OTHER}", "ttl": 1800, "nbf_skew": 5}
    providers = world.providers(replicate={"base_url": f"{world.server.url}/v1", "auth": auth})
    await providers.check(Reference("replicate", "x", {}))
    signed, _, signature = world.server.asked[0].headers["Authorization"].removeprefix("Bearer ").rpartition(".")
    expected = hmac.new(b"other_canary", signed.encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64decode(signature + "=") == expected
    claims = json.loads(base64.urlsafe_b64decode(signed.split(".")[1] + "=="))
    assert claims["iss"] == "fal_canary"
    assert claims["exp"] - claims["nbf"] == 1805


async def test_proxies_of_the_environment_and_cookies_are_ignored(
    world: World, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_tcp_port}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{unused_tcp_port}")
    world.server.answer("/v1/predictions/x", b'{"status": "starting"}', headers={"Set-Cookie": "a=b"})
    providers = world.providers()
    for _ in range(2):
        assert await providers.check(Reference("replicate", "x", {})) == StillRunning(True, "starting")
    assert "Cookie" not in world.server.asked[1].headers


async def test_one_connection_serves_many_polls(world: World) -> None:
    world.server.answer("/v1/predictions/x", b'{"status": "starting"}')
    providers = world.providers()
    for _ in range(5):
        await providers.check(Reference("replicate", "x", {}))
    assert len({request.connection for request in world.server.asked}) == 1
