"""Forty-eight copies at once that all come to a bad end after many megabytes: what they held is given back."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import yaml

from backstop_sandbox import Sandbox, SandboxSettings, providers_yaml

MOST_GROWTH_MIB = 90
PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from uuid import UUID
from backstop_common.errors import PermanentError
from backstop_common.providers.catalogue import load_catalogue
from backstop_recovery.adapters.addresses import parse_allowed_hosts
from backstop_recovery.adapters.asset_stores import open_asset_store
from backstop_recovery.adapters.guard import AddressGuard
from backstop_recovery.adapters.http_client import open_client
from backstop_recovery.adapters.obstore_assets import ObstoreAssets
from backstop_recovery.application.ports import Reference
from backstop_recovery.domain.verdict import Output, OutputRole

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))

async def main(host, file, folder, url):
    client = open_client(AddressGuard(parse_allowed_hosts(host)))
    catalogue = load_catalogue(providers_file=Path(file), environ={"REPLICATE_API_TOKEN": "k"})
    assets = ObstoreAssets(store=open_asset_store(folder, None, {}), client=client, catalogue=catalogue)

    async def refused(number):
        output = Output(index=number, role=OutputRole.PRIMARY, url=url)
        try:
            await assets.copy(reference=Reference("replicate", "x", {}), task_id=UUID(int=1), fence=1, output=output)
        except PermanentError:
            return True
        return False

    before = peak()
    ended = await asyncio.gather(*(refused(number) for number in range(48)))
    print(json.dumps({"growth": peak() - before, "refused": sum(ended)}), flush=True)
    await client.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_copies_that_are_broken_off_give_their_memory_back(tmp_path: Path) -> None:
    async with Sandbox(SandboxSettings(port=0, smtp_port=0)) as sandbox:
        providers = yaml.safe_load(providers_yaml(sandbox.url))
        providers["providers"]["replicate"]["download"] = {"max_bytes": "24MiB"}
        file = tmp_path / "providers.yaml"
        file.write_text(json.dumps(providers))
        async with httpx.AsyncClient(base_url=sandbox.url) as client:
            script = {"provider": "replicate", "id": "g", "kind": "video", "file_fault": "endless"}
            (await client.post("/control/generations", json=script)).raise_for_status()
        host, url = sandbox.url.removeprefix("http://"), f"{sandbox.url}/files/replicate-g/0.mp4"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", PROGRAM, host, str(file), (tmp_path / "assets").as_uri(), url),
            env={"PATH": os.environ["PATH"]},
            stdout=subprocess.PIPE,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 90)
    found = json.loads(output)
    assert found["refused"] == 48
    assert found["growth"] < MOST_GROWTH_MIB
    assert [path for path in (tmp_path / "assets").rglob("*") if path.is_file()] == []
