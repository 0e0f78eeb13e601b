"""Outputs in real S3 servers: content type, unfinished uploads, flat memory, and refusals in one sentence."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import boto3  # type: ignore[import-untyped]
import psutil  # type: ignore[import-untyped]
import pytest
from aiohttp import web

from backstop_common.errors import ConfigurationError, TransientError
from backstop_common.providers.catalogue import load_catalogue
from backstop_recovery.adapters.addresses import parse_allowed_hosts
from backstop_recovery.adapters.asset_stores import open_asset_store
from backstop_recovery.adapters.guard import AddressGuard
from backstop_recovery.adapters.http_client import open_client
from backstop_recovery.adapters.obstore_assets import ObstoreAssets
from backstop_recovery.application.ports import Reference, StoredAsset
from backstop_recovery.domain.verdict import Output, OutputRole
from tests.support.http_server import HttpServer, http_server, raw_server
from tests.support.s3_servers import KEY, SECRET, S3Server, moto_s3, rclone_s3

TASK = UUID("00000000-0000-4000-8000-000000000001")
PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 5000
MP4 = b"\0\0\0\x18ftypisom\0\0\0\0isommp41"
MIB = 2**20


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with moto_s3(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="module")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with rclone_s3(tmp_path_factory.mktemp("rclone"), "bucket") as server:
        yield server


@pytest.fixture
async def files() -> AsyncIterator[HttpServer]:
    async with http_server() as server:
        yield server


async def copy(server: S3Server, host: str, url: str, *, bucket: str = "s3://bucket/made") -> StoredAsset:
    client = open_client(AddressGuard(parse_allowed_hosts(host)))
    try:
        assets = ObstoreAssets(
            store=open_asset_store(bucket, server.endpoint, server.environ),
            client=client,
            catalogue=load_catalogue(providers_file=None, environ={}),
        )
        output = Output(index=0, role=OutputRole.PRIMARY, url=url)
        return await assets.copy(reference=Reference("kie", "x", {}), task_id=TASK, fence=1, output=output)
    finally:
        await client.close()


def bucket_of(server: S3Server) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )


async def test_the_content_type_of_the_bytes_is_kept_in_the_bucket(moto: S3Server, files: HttpServer) -> None:
    bucket = bucket_of(moto)
    bucket.create_bucket(Bucket="bucket")
    url = files.answer("/a", PNG, headers={"Content-Type": "application/octet-stream"})
    stored = await copy(moto, files.host, url)
    found = bucket.get_object(Bucket="bucket", Key=f"made/{stored.key}")
    assert found["ContentType"] == "image/png"
    assert found["Body"].read() == PNG


async def test_a_truncated_large_file_leaves_no_unfinished_upload(moto: S3Server) -> None:
    bucket = bucket_of(moto)
    bucket.create_bucket(Bucket="aborted")
    pieces = [b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", MP4, b"x" * 12 * MIB]
    async with raw_server(pieces) as host:
        with pytest.raises(TransientError):
            await copy(moto, host, f"http://{host}/a", bucket="s3://aborted")
    assert bucket.list_multipart_uploads(Bucket="aborted").get("Uploads", []) == []
    assert bucket.list_objects_v2(Bucket="aborted")["KeyCount"] == 0


async def test_a_cancelled_large_file_leaves_no_unfinished_upload(moto: S3Server) -> None:
    bucket = bucket_of(moto)
    bucket.create_bucket(Bucket="cancelled")

    def unfinished() -> list[Any]:
        return list(bucket.list_multipart_uploads(Bucket="cancelled").get("Uploads", []))

    pieces = [b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", MP4, b"x" * 12 * MIB]
    async with raw_server(pieces, stall_seconds=30) as host, asyncio.timeout(20):
        task = asyncio.create_task(copy(moto, host, f"http://{host}/a", bucket="s3://cancelled"))
        while not await asyncio.to_thread(unfinished):
            assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert unfinished() == []


async def test_a_missing_bucket_is_tried_again_with_the_address_named(moto: S3Server, files: HttpServer) -> None:
    with pytest.raises(TransientError, match="the asset store s3://nobodys failed"):
        await copy(moto, files.host, files.answer("/a", PNG), bucket="s3://nobodys")


async def test_64_mib_pass_through_with_flat_memory(rclone: S3Server, files: HttpServer) -> None:
    block = bytes(range(256)) * 1024  # 256 KiB
    blocks = 256
    digest = hashlib.sha256(MP4)
    process = psutil.Process()
    seen: list[int] = []

    async def stream(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = len(MP4) + blocks * len(block)
        await response.prepare(request)
        await response.write(MP4)
        for _ in range(blocks):
            digest.update(block)
            await response.write(block)
            seen.append(process.memory_info().rss)
        return response

    url = files.handle("/big", stream)
    await copy(rclone, files.host, files.answer("/small", PNG))
    before = process.memory_info().rss
    stored = await copy(rclone, files.host, url)
    assert stored.size_bytes == len(MP4) + 64 * MIB
    assert stored.sha256 == digest.hexdigest()
    assert (rclone.folder / "bucket" / "made" / stored.key).stat().st_size == stored.size_bytes
    assert max(seen) - before < 40 * MIB


async def test_eight_large_files_at_once_stay_inside_the_budget(rclone: S3Server, files: HttpServer) -> None:
    body = MP4 + b"v" * (24 * MIB)
    process = psutil.Process()
    seen: list[int] = []

    async def stream(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for start in range(0, len(body), MIB):
            await response.write(memoryview(body)[start : start + MIB])
            seen.append(process.memory_info().rss)
        return response

    url = files.handle("/many", stream)
    before = process.memory_info().rss
    client = open_client(AddressGuard(parse_allowed_hosts(files.host)))
    assets = ObstoreAssets(
        store=open_asset_store("s3://bucket/many", rclone.endpoint, rclone.environ),
        client=client,
        catalogue=load_catalogue(providers_file=None, environ={}),
    )
    outputs = [Output(index=n, role=OutputRole.PRIMARY, url=url) for n in range(8)]
    reference = Reference("kie", "x", {})
    stored = await asyncio.gather(*(assets.copy(reference=reference, task_id=TASK, fence=1, output=o) for o in outputs))
    await client.close()
    assert {asset.sha256 for asset in stored} == {hashlib.sha256(body).hexdigest()}
    assert max(seen) - before < 130 * MIB


async def test_the_probe_of_a_bucket_works_and_tells_a_wrong_key(rclone: S3Server) -> None:
    client = open_client(AddressGuard(parse_allowed_hosts("")))
    catalogue = load_catalogue(providers_file=None, environ={})
    store = open_asset_store("s3://bucket", rclone.endpoint, rclone.environ)
    await ObstoreAssets(store=store, client=client, catalogue=catalogue).check()
    wrong = open_asset_store("s3://bucket", rclone.endpoint, {**rclone.environ, "AWS_SECRET_ACCESS_KEY": "canary"})
    with pytest.raises(TransientError, match="the asset store s3://bucket failed") as raised:
        await ObstoreAssets(store=wrong, client=client, catalogue=catalogue).check()
    assert "canary" not in str(raised.value)
    await client.close()


@pytest.mark.parametrize(
    ("url", "endpoint", "environ", "sentence"),
    [
        ("", None, {}, "ASSET_STORE_URL is empty; set it to s3://bucket/prefix, "),
        ("bucket", None, {}, "ASSET_STORE_URL bucket: is no kind of store; set it to "),
        ("http://h/b", None, {}, "ASSET_STORE_URL http: is no kind of store; set it to "),
        ("s3:///x", None, {}, "ASSET_STORE_URL s3:///x names no bucket; set it to "),
        ("s3://AK:canary@b", None, {}, "must hold no key or option; put keys into the environment"),
        ("s3://b?key=canary", None, {}, "must hold no key or option; put keys into the environment"),
        ("file://relative/x", None, {}, "is no absolute folder; write file:///"),
        ("file:///proc/nothing", None, {}, "the folder cannot be created"),
        ("gs://b", "http://h", {}, "ASSET_STORE_ENDPOINT does not go with gs://; unset it"),
        ("s3://b", "minio:9000", {}, "ASSET_STORE_ENDPOINT is no address; write for example https://"),
        ("s3://b", "http://h:1", {}, "AWS_ACCESS_KEY_ID is not set; set it to the bucket's key"),
        ("s3://b", None, {"AWS_ACCESS_KEY_ID": "a"}, "AWS_SECRET_ACCESS_KEY is not set; set it to the bucket's key"),
        ("az://b", None, {}, "ASSET_STORE_URL az://b cannot be opened: "),
    ],
)
def test_a_wrong_setting_is_one_sentence_with_the_remedy(
    url: str, endpoint: str | None, environ: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        open_asset_store(url, endpoint, environ)
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "canary" not in str(raised.value)
