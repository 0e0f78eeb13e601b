"""A process whose environment names proxies for everything: polls and downloads go straight to their hosts."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from tests.support.http_server import http_server

PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 2000
PROGRAM = """
import asyncio, sys
from uuid import UUID
from backstop_common.providers.catalogue import load_catalogue
from backstop_recovery.adapters.addresses import parse_allowed_hosts
from backstop_recovery.adapters.asset_stores import open_asset_store
from backstop_recovery.adapters.declarative_providers import DeclarativeProviders
from backstop_recovery.adapters.guard import AddressGuard
from backstop_recovery.adapters.http_client import open_client
from backstop_recovery.adapters.obstore_assets import ObstoreAssets
from backstop_recovery.application.ports import Reference
from pathlib import Path

async def main(host, file, folder):
    client = open_client(AddressGuard(parse_allowed_hosts(host)))
    catalogue = load_catalogue(providers_file=Path(file), environ={"REPLICATE_API_TOKEN": "k"})
    reference = Reference("replicate", "x", {})
    verdict = await DeclarativeProviders(catalogue=catalogue, client=client).check(reference)
    assets = ObstoreAssets(store=open_asset_store(folder, None, {}), client=client, catalogue=catalogue)
    stored = await assets.copy(reference=reference, task_id=UUID(int=1), fence=1, output=verdict.outputs[0])
    await client.close()
    print(stored.size_bytes)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_proxies_named_by_the_environment_are_asked_nothing(tmp_path: Path) -> None:
    async with http_server() as server, http_server() as proxy:
        answer = {"status": "succeeded", "output": [server.answer("/a.png", PNG)]}
        server.answer("/v1/predictions/x", json.dumps(answer).encode())
        file = tmp_path / "providers.yaml"
        file.write_text(json.dumps({"providers": {"replicate": {"base_url": f"{server.url}/v1"}}}))
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY")
        proxies = {one: proxy.url for name in names for one in (name, name.lower())}
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login canary password canary\n")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", PROGRAM, server.host, str(file), (tmp_path / "assets").as_uri()),
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_PROXY": "", **proxies},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, complaints = await asyncio.wait_for(process.communicate(), 60)
    # The exit code is left out: the store's native threads may abort an interpreter that ends within a millisecond.
    assert output.decode().strip() == str(len(PNG)), complaints.decode()
    assert proxy.asked == []
    assert [asked.path for asked in server.asked] == ["/v1/predictions/x", "/a.png"]
    assert "canary" not in str(server.asked)
    assert "Basic" not in str(server.asked)
