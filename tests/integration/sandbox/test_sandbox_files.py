"""The sandbox's file host: real files with ranges, and every way in which a file host misbehaves."""

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest

from backstop_sandbox import Sandbox, SandboxSettings


async def script(client: httpx.AsyncClient, **fields: Any) -> str:
    answer = await client.post("/control/generations", json={"provider": "kie", "id": "abc"} | fields)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["generations"][0]["files"][0])


async def counted(client: httpx.AsyncClient, name: str) -> int:
    return int((await client.get("/control/generations")).json()["generations"][0][name])


@pytest.mark.parametrize("kind", ["image", "video"])
async def test_every_output_is_served_with_the_sum_the_control_api_promises(
    client: httpx.AsyncClient, kind: str
) -> None:
    await script(client, kind=kind, behaviour="succeeded_several", outputs=3)
    expected = (await client.get("/control/files")).json()["files"]
    assert len({row["sha256"] for row in expected}) == 3
    for row in expected:
        answer = await client.get(row["url"])
        assert hashlib.sha256(answer.content).hexdigest() == row["sha256"]
        assert int(answer.headers["content-length"]) == row["size"] == len(answer.content)
        assert answer.headers["content-type"] == row["media_type"]
        assert row["readable"]


async def test_a_part_of_a_file_is_served_as_a_part(client: httpx.AsyncClient) -> None:
    address = await script(client, kind="video")
    whole = await client.get(address)
    part = await client.get(address, headers={"Range": "bytes=100-199", "If-Range": whole.headers["etag"]})
    assert part.status_code == 206
    assert part.content == whole.content[100:200]
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole.content)}"


async def test_a_range_of_another_version_or_behind_the_end_is_no_part(client: httpx.AsyncClient) -> None:
    address = await script(client)
    other = await client.get(address, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    behind = await client.get(address, headers={"Range": "bytes=999999-"})
    assert (other.status_code, behind.status_code) == (200, 416)


async def test_a_known_entity_tag_saves_the_body(client: httpx.AsyncClient) -> None:
    address = await script(client)
    etag = (await client.get(address)).headers["etag"]
    again = await client.get(address, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("address", ["/files/kie-abc/1.png", "/files/kie-abc/0.mp4", "/files/kie-other/0.png"])
async def test_what_no_generation_made_is_not_there(client: httpx.AsyncClient, address: str) -> None:
    await script(client)
    assert (await client.get(address)).status_code == 404


@pytest.mark.parametrize("behaviour", ["failed", "cancelled", "unknown_id"])
async def test_a_generation_that_came_to_nothing_has_no_files(client: httpx.AsyncClient, behaviour: str) -> None:
    address = await script(client, behaviour=behaviour)
    assert (await client.get(address)).status_code == 404
    assert (await client.get("/control/files")).json()["files"] == []


async def test_downloads_are_counted_and_leaked_credentials_noticed(client: httpx.AsyncClient) -> None:
    address = await script(client)
    await client.get(address)
    await client.get(address, headers={"Authorization": "Bearer secret"})
    await client.get(f"{address}?preview=1")
    assert await counted(client, "downloads") == 2
    assert await counted(client, "downloads_with_credentials") == 1


@pytest.mark.parametrize(
    ("file", "status", "media_type"),
    [
        ("missing", 404, "text/plain; charset=utf-8"),
        ("forbidden", 403, "application/xml"),
        ("html", 200, "text/html; charset=utf-8"),
        ("wrong_type", 200, "application/octet-stream"),
    ],
)
async def test_a_file_host_that_answers_something_else(
    client: httpx.AsyncClient, file: str, status: int, media_type: str
) -> None:
    answer = await client.get(await script(client, file=file))
    assert (answer.status_code, answer.headers["content-type"]) == (status, media_type)


async def test_an_expired_output_is_forbidden_in_xml_and_said_to_be_unreadable(client: httpx.AsyncClient) -> None:
    answer = await client.get(await script(client, behaviour="expired"))
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/xml")
    assert (await client.get("/control/files")).json()["files"][0]["readable"] is False


async def test_an_unsized_file_is_whole_and_has_no_length(client: httpx.AsyncClient) -> None:
    answer = await client.get(await script(client, file="unsized"))
    assert "content-length" not in answer.headers
    assert (
        hashlib.sha256(answer.content).hexdigest() == (await client.get("/control/files")).json()["files"][0]["sha256"]
    )


async def test_a_truncated_file_breaks_off(client: httpx.AsyncClient) -> None:
    address = await script(client, file="truncated")
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get(address)


async def test_a_throttled_file_comes_at_the_second_attempt(client: httpx.AsyncClient) -> None:
    address = await script(client, file="throttled")
    first, second = await client.get(address), await client.get(address)
    assert (first.status_code, first.headers["retry-after"], second.status_code) == (429, "1", 200)


async def test_a_redirect_leads_to_the_file_under_another_host_name(client: httpx.AsyncClient) -> None:
    answer = await client.get(await script(client, file="redirect"))
    assert answer.status_code == 302
    assert answer.headers["location"].startswith("http://localhost:")
    landed = await client.get(answer.headers["location"].replace("localhost", "127.0.0.1"))
    assert landed.headers["content-type"] == "image/png"


async def test_a_private_redirect_leads_where_nobody_should_go(client: httpx.AsyncClient) -> None:
    answer = await client.get(await script(client, file="private_redirect"))
    assert answer.headers["location"] == "http://127.0.0.1:1/internal"


async def test_the_apps_bucket_has_a_public_face_as_soon_as_it_exists(tmp_path: Path) -> None:
    bucket = tmp_path / "bucket"
    settings = SandboxSettings(port=0, smtp_port=0, assets_dir=bucket)
    async with Sandbox(settings) as sandbox, httpx.AsyncClient(base_url=sandbox.url) as client:
        assert (await client.get("/assets/a/b.png")).status_code == 404
        (bucket / "a").mkdir(parents=True)
        (bucket / "a" / "b.png").write_bytes(b"picture")
        (tmp_path / "secret").write_bytes(b"no")
        assert (await client.get("/assets/a/b.png")).content == b"picture"
        assert (await client.get("/assets/%2e%2e/secret")).status_code == 404
