"""Answers that carry files, and references that may only have certain values, over real HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from backstop_common.providers.catalogue import load_catalogue
from backstop_recovery.adapters.addresses import parse_allowed_hosts
from backstop_recovery.adapters.declarative_providers import DeclarativeProviders
from backstop_recovery.adapters.guard import AddressGuard
from backstop_recovery.adapters.http_client import open_client
from backstop_recovery.application.ports import Reference
from backstop_recovery.domain.verdict import NotFound, StillRunning, Succeeded, Unknown, UnknownReason
from tests.support.http_server import HttpServer, http_server

KEYS = {
    "STABILITY_API_KEY": "s",
    "GEMINI_API_KEY": "g",
    "KLING_ACCESS_KEY": "a",
    "KLING_SECRET_KEY": "k",
    "BFL_API_KEY": "b",
    "REPLICATE_API_TOKEN": "r",
}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(50_000)


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with http_server() as running:
        yield running


@pytest.fixture
async def providers(server: HttpServer, tmp_path: Path) -> AsyncIterator[DeclarativeProviders]:
    file = tmp_path / "providers.yaml"
    names = ("stability", "gemini_interactions", "kling", "bfl", "replicate")
    entries: dict[str, dict[str, object]] = {name: {"base_url": server.url} for name in names}
    entries["bfl"]["allow_hosts"] = [server.host]
    file.write_text(json.dumps({"providers": entries}))
    client = open_client(AddressGuard(parse_allowed_hosts(server.host)))
    yield DeclarativeProviders(
        catalogue=load_catalogue(providers_file=file, environ=KEYS),
        client=client,
        timeout_seconds=5.0,
        max_body_bytes=1000,
    )
    await client.close()


async def test_an_answer_that_is_the_file_is_read_whole(server: HttpServer, providers: DeclarativeProviders) -> None:
    server.answer("/v2beta/results/a", PNG, headers={"finish-reason": "SUCCESS"})
    verdict = await providers.check(Reference("stability", "a", {}))
    assert isinstance(verdict, Succeeded)
    assert verdict.outputs[0].content == PNG
    assert server.asked[0].headers["Accept"] == "*/*"


async def test_a_file_inside_json_is_read_whole(server: HttpServer, providers: DeclarativeProviders) -> None:
    content = [{"type": "image", "mime_type": "image/png", "data": base64.b64encode(PNG).decode()}]
    body = {"status": "completed", "steps": [{"type": "model_output", "content": content}]}
    server.answer("/interactions/a", json.dumps(body).encode())
    verdict = await providers.check(Reference("gemini_interactions", "a", {}))
    assert isinstance(verdict, Succeeded)
    assert verdict.outputs[0].content == PNG


async def test_a_small_answer_is_asked_for_once(server: HttpServer, providers: DeclarativeProviders) -> None:
    server.answer("/interactions/a", b'{"status": "queued"}')
    assert await providers.check(Reference("gemini_interactions", "a", {})) == StillRunning(True, "queued")
    assert len(server.asked) == 1


async def test_a_large_answer_of_a_provider_that_sends_no_files_stays_refused(
    server: HttpServer, providers: DeclarativeProviders
) -> None:
    server.answer("/predictions/a", json.dumps({"status": "failed", "logs": "x" * 5000}).encode())
    verdict = await providers.check(Reference("replicate", "a", {}))
    assert isinstance(verdict, Unknown)
    assert verdict.reason is UnknownReason.UNPARSABLE
    assert len(server.asked) == 1


async def test_even_a_file_has_a_largest_size(
    server: HttpServer, providers: DeclarativeProviders, tmp_path: Path
) -> None:
    file = tmp_path / "small.yaml"
    rules = [{"http": [200], "verdict": "succeeded"}]
    steps = [{"name": "s", "get": "{base_url}/{id}", "max_body": "2KiB", "rules": rules, "outputs": [{"body": True}]}]
    file.write_text(json.dumps({"providers": {"stability": {"base_url": server.url, "steps": steps}}}))
    server.answer("/a", PNG)
    small = replace(providers, catalogue=load_catalogue(providers_file=file, environ=KEYS))
    verdict = await small.check(Reference("stability", "a", {}))
    assert isinstance(verdict, Unknown)
    assert "more than 2048 bytes" in verdict.message


async def test_kling_is_asked_at_the_path_of_the_kind(server: HttpServer, providers: DeclarativeProviders) -> None:
    server.answer("/v1/videos/text2video/a", b'{"code": 0, "data": {"task_status": "submitted"}}')
    verdict = await providers.check(Reference("kling", "a", {"path": "videos/text2video"}))
    assert verdict == StillRunning(True, "submitted")
    assert server.asked[0].headers["Authorization"].count(".") == 2


async def test_a_path_that_is_not_on_the_list_is_never_asked(
    server: HttpServer, providers: DeclarativeProviders
) -> None:
    verdict = await providers.check(Reference("kling", "a", {"path": "account/costs"}))
    assert isinstance(verdict, Unknown)
    assert verdict.reason is UnknownReason.BAD_REFERENCE
    assert verdict.message.startswith("kling knows no path 'account/costs'; it is one of videos/text2video, ")
    assert server.asked == []


async def test_bfl_is_asked_at_its_stored_address(server: HttpServer, providers: DeclarativeProviders) -> None:
    address = server.answer("/eu/get_result", b'{"status": "Task not found"}') + "?id=a"
    assert isinstance(await providers.check(Reference("bfl", "a", {"polling_url": address})), NotFound)
    assert server.asked[0].path == "/eu/get_result?id=a"
    assert server.asked[0].headers["x-key"] == "b"


async def test_a_polling_address_elsewhere_never_sees_the_key(
    server: HttpServer, providers: DeclarativeProviders
) -> None:
    async with http_server() as other:
        address = other.answer("/get_result", b'{"status": "Ready"}')
        verdict = await providers.check(Reference("bfl", "a", {"polling_url": address}))
        assert isinstance(verdict, Unknown)
        assert verdict.reason is UnknownReason.BAD_REFERENCE
        assert other.asked == []
