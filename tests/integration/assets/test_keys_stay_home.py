"""A provider's key, however it is carried, goes to its own origin and to no other: not by redirect, not by answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from backstop_common.providers.catalogue import load_catalogue
from backstop_recovery.adapters.addresses import parse_allowed_hosts
from backstop_recovery.adapters.asset_stores import open_asset_store
from backstop_recovery.adapters.declarative_providers import DeclarativeProviders
from backstop_recovery.adapters.guard import AddressGuard
from backstop_recovery.adapters.http_client import HttpClient, open_client
from backstop_recovery.adapters.obstore_assets import ObstoreAssets
from backstop_recovery.application.ports import Reference
from backstop_recovery.domain.verdict import Output, OutputRole, Succeeded, Unknown
from tests.support.http_server import HttpServer, http_server

TASK = UUID("00000000-0000-4000-8000-000000000001")
PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 2000
CARRIED = {
    "Authorization": {"kind": "bearer", "token": "${REPLICATE_API_TOKEN}"},
    "x-goog-api-key": {"kind": "header", "name": "x-goog-api-key", "value": "${REPLICATE_API_TOKEN}"},
    "x-key": {"kind": "header", "name": "x-key", "value": "${REPLICATE_API_TOKEN}"},
    "query": {"kind": "query", "name": "key", "value": "${REPLICATE_API_TOKEN}"},
    "jwt": {"kind": "jwt_hs256", "key_id": "${REPLICATE_API_TOKEN}", "secret": "${REPLICATE_API_TOKEN}"},
}


class World:
    """A provider whose files lie at its own origin, and somebody else's host."""

    def __init__(self, home: HttpServer, abroad: HttpServer, folder: Path) -> None:
        self.home, self.abroad, self._folder = home, abroad, folder
        self._clients: list[HttpClient] = []

    def adapters(self, auth: dict[str, Any]) -> tuple[DeclarativeProviders, ObstoreAssets]:
        entry = {"base_url": f"{self.home.url}/v1", "auth": auth, "download": {"auth": "same"}}
        file = self._folder / "providers.yaml"
        file.write_text(json.dumps({"providers": {"replicate": entry}}))
        client = open_client(AddressGuard(parse_allowed_hosts(f"{self.home.host},{self.abroad.host}")))
        self._clients.append(client)
        catalogue = load_catalogue(providers_file=file, environ={"REPLICATE_API_TOKEN": "canary"})
        store = open_asset_store((self._folder / "assets").as_uri(), None, {})
        return (
            DeclarativeProviders(catalogue=catalogue, client=client),
            ObstoreAssets(store=store, client=client, catalogue=catalogue),
        )

    async def close(self) -> None:
        for client in self._clients:
            await client.close()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with http_server() as home, http_server() as abroad:
        world = World(home, abroad, tmp_path)
        yield world
        await world.close()


def saw_the_key(server: HttpServer) -> bool:
    """The key itself, or a token signed with it."""
    return any(
        "canary" in asked.path or {"Authorization", "x-goog-api-key", "x-key"} & set(asked.headers)
        for asked in server.asked
    )


@pytest.mark.parametrize("carried", sorted(CARRIED))
async def test_a_file_redirected_abroad_is_fetched_without_the_key(world: World, carried: str) -> None:
    _, assets = world.adapters(CARRIED[carried])
    start = world.home.redirect("/file", world.abroad.answer("/file", PNG))
    output = Output(index=0, role=OutputRole.PRIMARY, url=start)
    await assets.copy(reference=Reference("replicate", "x", {}), task_id=TASK, fence=1, output=output)
    assert saw_the_key(world.home)
    assert world.abroad.asked
    assert not saw_the_key(world.abroad)


@pytest.mark.parametrize("carried", sorted(CARRIED))
async def test_a_poll_redirected_abroad_is_not_followed(world: World, carried: str) -> None:
    providers, _ = world.adapters(CARRIED[carried])
    world.home.redirect("/v1/predictions/x", world.abroad.answer("/x", b'{"status": "failed"}'))
    assert isinstance(await providers.check(Reference("replicate", "x", {})), Unknown)
    assert saw_the_key(world.home)
    assert world.abroad.asked == []


@pytest.mark.parametrize("carried", sorted(CARRIED))
async def test_a_file_named_by_an_answer_is_fetched_abroad_without_the_key(world: World, carried: str) -> None:
    providers, assets = world.adapters(CARRIED[carried])
    answer = {"status": "succeeded", "output": [world.abroad.answer("/a.png", PNG)]}
    world.home.answer("/v1/predictions/x", json.dumps(answer).encode())
    verdict = await providers.check(Reference("replicate", "x", {}))
    assert isinstance(verdict, Succeeded)
    await assets.copy(reference=Reference("replicate", "x", {}), task_id=TASK, fence=1, output=verdict.outputs[0])
    assert world.abroad.asked
    assert not saw_the_key(world.abroad)
