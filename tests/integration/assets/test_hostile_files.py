"""Every fault of the sandbox's file host, met by the real adapter: stored whole or not at all, no key given away."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import yaml

from backstop_common.errors import PermanentError, TransientError
from backstop_common.providers.catalogue import load_catalogue
from backstop_recovery.adapters.addresses import parse_allowed_hosts
from backstop_recovery.adapters.asset_stores import open_asset_store
from backstop_recovery.adapters.guard import AddressGuard
from backstop_recovery.adapters.http_client import open_client
from backstop_recovery.adapters.obstore_assets import ObstoreAssets
from backstop_recovery.application.errors import OutputGoneError, OutputRefusedError
from backstop_recovery.application.ports import Reference, StoredAsset
from backstop_recovery.domain.verdict import Output, OutputRole
from backstop_sandbox import Sandbox, SandboxSettings, providers_yaml
from backstop_sandbox.faults.words import FAULTS_OF, Side

TASK = UUID("00000000-0000-4000-8000-000000000001")
KEYS = {"REPLICATE_API_TOKEN": "canary-r", "FAL_KEY": "canary-f", "KIE_API_KEY": "canary-k"}
STORED = {"wrong_type", "redirect_elsewhere"}
ANOTHER_TIME = {
    "status_500",
    "status_502",
    "status_503",
    "throttled_seconds",
    "throttled_date",
    "no_content",
    "reset_before",
    "reset_within",
    "slow_headers",
    "slow_body",
    "cut_short",
    "chunk_cut",
    "gzip_cut",
    "huge_header",
    "many_headers",
    "empty",
}
REFUSED = {
    "huge_length",
    "endless",
    "gzip_bomb",
    "brotli_bomb",
    "odd_header",
    "redirect_loopback",
    "redirect_metadata",
    "redirect_private",
    "redirect_mapped",
    "redirect_file",
    "redirect_userinfo",
    "redirect_loop",
    "html",
    "xml",
    "text",
    "json",
    "script",
    "polyglot",
}


class World:
    def __init__(self, sandbox: Sandbox, assets: ObstoreAssets, folder: Path) -> None:
        self.sandbox, self.assets, self.folder = sandbox, assets, folder

    async def copy(self, provider: str, fault: str, kind: str = "video") -> StoredAsset:
        identity = f"{fault}-{kind}"
        script = {"provider": provider, "id": identity, "kind": kind, "file_fault": fault}
        async with httpx.AsyncClient(base_url=self.sandbox.url) as client:
            generation = (await client.post("/control/generations", json=script)).raise_for_status().json()
        url = self.sandbox.url + generation["generations"][0]["files"][0]
        output = Output(index=0, role=OutputRole.PRIMARY, url=url)
        return await self.assets.copy(reference=Reference(provider, identity, {}), task_id=TASK, fence=1, output=output)

    async def outcome(self, provider: str, fault: str, kind: str = "video") -> BaseException | StoredAsset:
        """What a copy returned or raised."""
        try:
            return await self.copy(provider, fault, kind)
        except (TransientError, PermanentError) as error:
            return error

    async def true_sum(self, fault: str) -> str:
        async with httpx.AsyncClient(base_url=self.sandbox.url) as client:
            files = (await client.get("/control/files")).json()["files"]
        return str(next(file["sha256"] for file in files if file["id"] == f"{fault}-video"))

    @property
    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]

    @property
    def visits(self) -> str:
        return json.dumps(self.sandbox.world.visits.as_json())


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with Sandbox(SandboxSettings(port=0, smtp_port=0)) as sandbox:
        file = tmp_path / "providers.yaml"
        entries: dict[str, Any] = yaml.safe_load(providers_yaml(sandbox.url))
        for entry in entries["providers"].values():
            entry["download"] = {"max_bytes": "4MiB", "timeout": {"connect": "1s", "read": "1s", "total": "4s"}}
        file.write_text(json.dumps(entries))
        host = sandbox.url.removeprefix("http://")
        client = open_client(AddressGuard(parse_allowed_hosts(f"{host},localhost:{host.split(':')[1]}")))
        catalogue = load_catalogue(providers_file=file, environ=KEYS)
        store = open_asset_store((tmp_path / "assets").as_uri(), None, {})
        yield World(sandbox, ObstoreAssets(store=store, client=client, catalogue=catalogue), tmp_path / "assets")
        await client.close()


def test_every_fault_of_a_file_host_has_its_consequence() -> None:
    assert STORED | ANOTHER_TIME | REFUSED | {"flapping"} == {str(fault) for fault in FAULTS_OF[Side.FILE]}


@pytest.mark.parametrize("provider", ["replicate", "kie"])
@pytest.mark.parametrize("fault", sorted(STORED))
async def test_a_whole_file_is_stored_however_it_is_declared_and_wherever_it_is(
    world: World, provider: str, fault: str
) -> None:
    stored = await world.copy(provider, fault)
    (path,) = world.files
    assert stored.content_type == "video/mp4"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == stored.sha256 == await world.true_sum(fault)
    assert "canary" not in world.visits


@pytest.mark.parametrize("provider", ["replicate", "fal"])
async def test_a_file_host_in_trouble_leaves_nothing_behind_and_is_tried_again(world: World, provider: str) -> None:
    outcomes = await asyncio.gather(*(world.outcome(provider, fault) for fault in ANOTHER_TIME))
    found = dict(zip(ANOTHER_TIME, outcomes, strict=True))
    assert {fault: one for fault, one in found.items() if not isinstance(one, TransientError)} == {}
    for fault in ("throttled_seconds", "throttled_date"):
        error = found[fault]
        assert isinstance(error, TransientError)
        assert error.retry_after_seconds is not None
        assert 0 <= error.retry_after_seconds <= 2
    assert world.files == []
    assert "canary" not in str(found)


@pytest.mark.parametrize("kind", ["image", "video"])
async def test_what_is_hostile_is_refused_and_leaves_nothing_behind(world: World, kind: str) -> None:
    outcomes = await asyncio.gather(*(world.outcome("replicate", fault, kind) for fault in REFUSED))
    found = dict(zip(REFUSED, outcomes, strict=True))
    assert {fault: one for fault, one in found.items() if not isinstance(one, OutputRefusedError)} == {}
    assert world.files == []
    str(found).encode()
    assert "elsewhere" not in world.visits


async def test_a_file_that_comes_and_goes_is_gone_and_then_stored(world: World) -> None:
    with pytest.raises(OutputGoneError):
        await world.copy("fal", "flapping")
    stored = await world.copy("fal", "flapping")
    assert stored.sha256 == await world.true_sum("flapping")
