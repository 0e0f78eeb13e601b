"""Recovery fetches the keys that providers publish, admin-api verifies with them: on a real server and database."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from backstop_common.database import Transactions
from backstop_common.providers.catalogue import load_catalogue
from backstop_recovery.adapters.addresses import parse_allowed_hosts
from backstop_recovery.adapters.guard import AddressGuard
from backstop_recovery.adapters.http_client import HttpClient, open_client
from backstop_recovery.adapters.http_key_documents import HttpKeyDocuments, key_sources
from backstop_recovery.application.refresh_webhook_keys import REFRESH_SECONDS, KeySource, RefreshWebhookKeys
from backstop_recovery.domain.webhook_keys import KeyKind
from tests.support.factories import Factory
from tests.support.http_server import HttpServer, http_server
from tests.support.signing import FalSigner, TokenSigner
from tests.support.webhooks import Sender, webhook_client

PATH = "/.well-known/jwks.json"


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class World:
    """A provider's server, and a recovery that asks it."""

    server: HttpServer
    client: HttpClient
    transactions: Transactions
    clock: Clock = field(default_factory=Clock)
    counted: list[tuple[str, str]] = field(default_factory=list)

    def publishes(self, *keys: Any) -> None:
        self.server.answer(PATH, json.dumps({"keys": list(keys)}).encode())

    def refresh(self, *providers: str) -> RefreshWebhookKeys:
        sources = [KeySource(name, self.server.url + PATH, KeyKind.ED25519) for name in providers or ("fal",)]
        return RefreshWebhookKeys(
            self.transactions,
            HttpKeyDocuments(self.client),
            sources,
            self.clock,
            lambda *what: self.counted.append(what),
        )

    async def stored(self, provider: str = "fal") -> dict[str, str]:
        async with self.transactions.read() as reading:
            rows = await reading.rows("SELECT key_id, jwk FROM webhook_keys WHERE provider = :name", name=provider)
        return {row["key_id"]: row["jwk"]["x"] for row in rows}


@pytest.fixture
async def world(transactions: Transactions) -> AsyncIterator[World]:
    async with http_server() as server:
        client = open_client(AddressGuard(parse_allowed_hosts(server.host)))
        yield World(server, client, transactions)
        await client.close()


def key(name: str) -> dict[str, str]:
    return {**FalSigner().jwk, "kid": name}


async def test_published_keys_are_stored_and_those_no_longer_published_go(world: World) -> None:
    old, both, new = key("old"), key("both"), key("new")
    refresh = world.refresh()
    world.publishes(old, both)
    assert await refresh() is False
    assert await world.stored() == {"old": old["x"], "both": both["x"]}
    world.clock.now += REFRESH_SECONDS
    world.publishes(both, new)
    await refresh()
    assert await world.stored() == {"both": both["x"], "new": new["x"]}
    assert world.counted == [("fal", "refreshed")] * 2


async def test_they_are_fetched_once_an_hour(world: World) -> None:
    world.publishes(key("k"))
    refresh = world.refresh()
    for seconds in (0, 60, REFRESH_SECONDS - 61):
        world.clock.now += seconds
        await refresh()
    assert len(world.server.asked) == 1
    world.clock.now += 1
    await refresh()
    assert len(world.server.asked) == 2


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b""), (404, b"{}"), (200, b"<html>"), (200, b'{"keys": []}'), (200, b"x" * 300_000), (302, b"")],
    ids=["500", "404", "html", "empty", "large", "redirect"],
)
async def test_a_failed_refresh_keeps_the_keys_and_is_tried_again_with_the_next_turn(
    world: World, status: int, body: bytes
) -> None:
    stored = key("k")
    world.publishes(stored)
    refresh = world.refresh()
    await refresh()
    world.clock.now += REFRESH_SECONDS
    world.server.answer(PATH, body, status=status, headers={"Location": "/elsewhere"} if status == 302 else None)
    await refresh()
    await refresh()
    assert await world.stored() == {"k": stored["x"]}
    assert world.counted == [("fal", "refreshed"), ("fal", "failed"), ("fal", "failed")]


async def test_providers_that_share_an_address_ask_once(world: World) -> None:
    world.publishes(key("k"))
    await world.refresh("fal", "fal_eu")()
    assert len(world.server.asked) == 1
    assert (await world.stored("fal")) == (await world.stored("fal_eu")) != {}


async def test_one_providers_failure_is_not_anothers(world: World) -> None:
    world.publishes(key("k"))
    refresh = world.refresh()
    broken = KeySource("broken", f"{world.server.url}/nothing-here", KeyKind.ED25519)
    sources = [broken, *refresh.sources]
    await RefreshWebhookKeys(
        world.transactions, refresh.documents, sources, world.clock, lambda *what: world.counted.append(what)
    )()
    assert sorted(world.counted) == [("broken", "failed"), ("fal", "refreshed")]
    assert await world.stored() != {}


async def test_two_recoveries_at_once_store_the_same(world: World) -> None:
    world.publishes(key("a"), key("b"))
    one, other = world.refresh(), world.refresh()
    await one()
    await other()
    assert set(await world.stored()) == {"a", "b"}


@pytest.mark.parametrize("address", ["http://keys.example/jwks.json", "http://127.0.0.1:1/a", "https://127.0.0.1:1/a"])
async def test_an_address_without_tls_or_inside_our_network_is_not_asked(world: World, address: str) -> None:
    refresh = RefreshWebhookKeys(
        world.transactions,
        HttpKeyDocuments(world.client),
        [KeySource("fal", address, KeyKind.ED25519)],
        world.clock,
        lambda *what: world.counted.append(what),
    )
    await refresh()
    assert world.counted == [("fal", "failed")]
    assert world.server.asked == []


def test_only_providers_in_use_are_asked_about() -> None:
    unused = load_catalogue(providers_file=None, environ={"REPLICATE_API_TOKEN": "r"})
    used = load_catalogue(providers_file=None, environ={"FAL_KEY": "f"})
    assert key_sources(unused) == []
    assert key_sources(used) == [KeySource("fal", "https://rest.fal.ai/.well-known/jwks.json", KeyKind.ED25519)]


async def test_what_recovery_stored_verifies_at_admin_api(
    world: World, transactions: Transactions, tmp_path: Path
) -> None:
    """fal's Ed25519, and RS256 as Gemini uses it: the keys go the whole way."""
    fal, google = FalSigner(), TokenSigner()
    world.publishes({**fal.jwk, "kid": "f"}, google.jwk)
    file = tmp_path / "providers.yaml"
    verify = f"{{kind: jwt_rs256_jwks, jwks: '{world.server.url}{PATH}'}}"
    address = f"{{kind: fal_ed25519_jwks, jwks: '{world.server.url}{PATH}'}}"
    file.write_text(
        f"providers: {{omni: {{extends: gemini_interactions, webhook: {{verify: {verify}}}}},"
        f" fal: {{webhook: {{verify: {address}}}}}}}"
    )
    environ = {"FAL_KEY": "f", "GEMINI_API_KEY": "g"}
    sources = key_sources(load_catalogue(providers_file=file, environ=environ))
    assert {source.provider for source in sources} == {"omni", "fal"}
    refresh = world.refresh()
    await RefreshWebhookKeys(transactions, refresh.documents, sources, world.clock, refresh.observe)()
    factory = Factory(transactions)
    async with webhook_client(transactions, environ, PROVIDERS_FILE=str(file)) as client:
        of_fal, of_omni = Sender(client, transactions), Sender(client, transactions)
        await of_fal.make_task(factory, provider="fal", provider_task_id="f-1")
        await of_omni.make_task(factory, provider="omni", provider_task_id="v-1")
        body = b'{"request_id": "f-1", "status": "OK"}'
        assert (await client.post("/webhooks/fal", content=body, headers=fal.headers(body))).status_code == 202
        claims = {"iat": time.time(), "type": "interaction.completed", "data": {"id": "v-1"}}
        token = {"webhook-signature": google.token(claims)}
        assert (await client.post("/webhooks/omni", content=b"{}", headers=token)).status_code == 202
        forged = {"webhook-signature": TokenSigner().token(claims)}
        assert (await client.post("/webhooks/omni", content=b"{}", headers=forged)).status_code == 401
        assert len((await of_fal.told()).checks) == len((await of_omni.told()).checks) == 1
        assert (await of_omni.told()).timeline == [{"proof": "signature", "event": "interaction.completed"}]
