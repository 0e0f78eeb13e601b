"""The product's adapters against the sandbox's providers and file host, made by other hands from the same documents."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from backstop_common.errors import TransientError
from backstop_common.providers.catalogue import load_catalogue
from backstop_recovery.adapters.addresses import parse_allowed_hosts
from backstop_recovery.adapters.asset_stores import open_asset_store
from backstop_recovery.adapters.declarative_providers import DeclarativeProviders
from backstop_recovery.adapters.guard import AddressGuard
from backstop_recovery.adapters.http_client import open_client
from backstop_recovery.adapters.obstore_assets import ObstoreAssets
from backstop_recovery.application.errors import OutputGoneError, OutputRefusedError
from backstop_recovery.application.ports import Reference
from backstop_recovery.domain.verdict import Output, Succeeded, Unknown, Verdict, name_of
from backstop_sandbox import Sandbox, SandboxSettings
from backstop_sandbox.provider_file import providers_yaml

KEYS = {"REPLICATE_API_TOKEN": "r8_x", "FAL_KEY": "f", "KIE_API_KEY": "k"}
PROVIDERS = ("replicate", "fal", "kie")


class World:
    def __init__(self, sandbox: Sandbox, providers: DeclarativeProviders, assets: ObstoreAssets, folder: Path) -> None:
        self.sandbox, self.providers, self.assets, self.folder = sandbox, providers, assets, folder

    async def register(self, provider: str, **script: Any) -> Reference:
        app = {"app": "owner/app"} if provider == "fal" else {}
        identity = f"{provider}-{uuid4()}"
        async with httpx.AsyncClient(base_url=self.sandbox.url) as client:
            answer = await client.post(
                "/control/generations", json={"provider": provider, "id": identity, **app, **script}
            )
        assert answer.status_code == 201, answer.text
        return Reference(provider, identity, app)

    async def ask(self, provider: str, **script: Any) -> Verdict:
        return await self.providers.check(await self.register(provider, **script))

    async def first_output(self, provider: str, **script: Any) -> tuple[Reference, Output]:
        reference = await self.register(provider, **script)
        verdict = await self.providers.check(reference)
        assert isinstance(verdict, Succeeded), verdict
        return reference, verdict.outputs[0]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with Sandbox(SandboxSettings(port=0, smtp_port=0)) as sandbox:
        file = tmp_path / "providers.yaml"
        file.write_text(providers_yaml(sandbox.url))
        catalogue = load_catalogue(providers_file=file, environ=KEYS)
        # Its redirects lead to localhost, another host for the product though it is the same server.
        host = sandbox.url.removeprefix("http://")
        client = open_client(AddressGuard(parse_allowed_hosts(f"{host},localhost:{host.split(':')[1]}")))
        store = open_asset_store((tmp_path / "assets").as_uri(), None, {})
        assets = ObstoreAssets(store=store, client=client, catalogue=catalogue)
        yield World(sandbox, DeclarativeProviders(catalogue=catalogue, client=client), assets, tmp_path / "assets")
        await client.close()


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("behaviour", "verdict"),
    [
        ("succeeded", "succeeded"),
        ("succeeded_several", "succeeded"),
        ("failed", "failed"),
        ("processing", "queued"),
        ("unknown_id", "not_found"),
        ("flaky", "unknown"),
    ],
)
async def test_each_behaviour_of_the_sandbox_is_understood(
    world: World, provider: str, behaviour: str, verdict: str
) -> None:
    answer = await world.ask(provider, behaviour=behaviour)
    assert name_of(answer) == verdict, answer
    if isinstance(answer, Succeeded):
        assert len(answer.outputs) == (3 if behaviour == "succeeded_several" else 1)


async def test_a_prediction_that_is_too_old_at_replicate_is_expired(world: World) -> None:
    assert name_of(await world.ask("replicate", behaviour="expired")) == "expired"


@pytest.mark.parametrize("provider", ["replicate", "fal"])
async def test_a_cancelled_generation_is_cancelled(world: World, provider: str) -> None:
    assert name_of(await world.ask(provider, behaviour="cancelled")) == "cancelled"


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("kind", ["image", "video"])
async def test_an_output_is_copied_byte_for_byte(world: World, provider: str, kind: str) -> None:
    reference, output = await world.first_output(provider, kind=kind)
    stored = await world.assets.copy(reference=reference, task_id=uuid4(), fence=1, output=output)
    assert stored.content_type == ("video/mp4" if kind == "video" else "image/png")
    async with httpx.AsyncClient(base_url=world.sandbox.url) as client:
        expected = (await client.get("/control/files")).json()["files"]
    assert stored.sha256 in str(expected)
    assert hashlib.sha256((world.folder / stored.key).read_bytes()).hexdigest() == stored.sha256


@pytest.mark.parametrize("file", ["unsized", "wrong_type", "redirect"])
async def test_an_odd_file_host_is_coped_with(world: World, file: str) -> None:
    reference, output = await world.first_output("kie", file=file)
    assert (await world.assets.copy(reference=reference, task_id=uuid4(), fence=1, output=output)).size_bytes > 0


@pytest.mark.parametrize(
    ("file", "error"),
    [
        ("missing", OutputGoneError),
        ("forbidden", OutputGoneError),
        ("html", OutputRefusedError),
        ("private_redirect", OutputRefusedError),
        ("truncated", TransientError),
        ("throttled", TransientError),
    ],
)
async def test_a_broken_file_host_is_told_apart(world: World, file: str, error: type[Exception]) -> None:
    reference, output = await world.first_output("kie", file=file)
    with pytest.raises(error):
        await world.assets.copy(reference=reference, task_id=uuid4(), fence=1, output=output)


async def test_a_flaky_providers_wish_to_wait_is_heard(world: World) -> None:
    verdict = await world.ask("replicate", behaviour="flaky", failing_status=429, retry_after_seconds=9)
    assert isinstance(verdict, Unknown)
    assert verdict.retry_after_seconds == 9
