"""Sixty-four providers' answers without end, or with millions of values, at once: memory stays where it was."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from backstop_sandbox import Sandbox, SandboxSettings
from backstop_sandbox.provider_file import providers_yaml

MOST_GROWTH_MIB = 100
PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from backstop_common.providers.catalogue import load_catalogue
from backstop_recovery.adapters.addresses import parse_allowed_hosts
from backstop_recovery.adapters.declarative_providers import DeclarativeProviders
from backstop_recovery.adapters.guard import AddressGuard
from backstop_recovery.adapters.http_client import open_client
from backstop_recovery.application.ports import Reference

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))

async def main(host, file):
    client = open_client(AddressGuard(parse_allowed_hosts(host)))
    catalogue = load_catalogue(providers_file=Path(file), environ={"REPLICATE_API_TOKEN": "k"})
    providers = DeclarativeProviders(catalogue=catalogue, client=client)
    await providers.check(Reference("replicate", "warm", {}))
    before = peak()
    verdicts = await asyncio.gather(*(providers.check(Reference("replicate", "g", {})) for _ in range(64)))
    print(json.dumps({"growth": peak() - before, "reasons": sorted({v.reason.value for v in verdicts})}))
    await client.close()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("fault", ["endless", "wide_json", "gzip_bomb"])
async def test_many_hostile_answers_at_once_do_not_fill_the_memory(tmp_path: Path, fault: str) -> None:
    file = tmp_path / "providers.yaml"
    async with Sandbox(SandboxSettings(port=0, smtp_port=0)) as sandbox:
        file.write_text(providers_yaml(sandbox.url))
        async with httpx.AsyncClient(base_url=sandbox.url) as client:
            scripts = [
                {"provider": "replicate", "id": "g", "api_fault": fault},
                {"provider": "replicate", "id": "warm"},
            ]
            (await client.post("/control/generations", json=scripts)).raise_for_status()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", PROGRAM, sandbox.url.removeprefix("http://"), str(file)),
            env={"PATH": os.environ["PATH"]},
            stdout=subprocess.PIPE,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 90)
    found = json.loads(output)
    assert found["reasons"] == ["unparsable"]
    assert found["growth"] < MOST_GROWTH_MIB
