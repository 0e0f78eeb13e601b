"""Large files through recovery as a process of its own: whole, with flat memory, and under one lease however long."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from backstop_common.database import Transactions
from tests.support.factories import Factory
from tests.support.http_server import HttpServer, http_server
from tests.support.large_files import LargeFile
from tests.support.memory import peak_mib
from tests.support.polling import eventually
from tests.support.recovery import broken_truths
from tests.support.s3_servers import S3Server, rclone_s3
from tests.support.system import Process, System, free_port, running_system

LEASE_SECONDS = 5
LONGER_THAN_THE_LEASE = 13.0
MOST_MIB = 190  # 200 MB


@dataclass(frozen=True, slots=True)
class Sizes:
    """In MiB: one large file, and several at once."""

    one: int
    several: Sequence[int]


@pytest.fixture
def sizes(request: pytest.FixtureRequest) -> Sizes:
    """The full suite has 1 GiB, and eight times 128 MiB."""
    return Sizes(1024, [128] * 8) if request.config.getoption("--faults-full") else Sizes(80, [24] * 8)


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with http_server() as running:
        yield running


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[S3Server]:
    folder = tmp_path / "s3"
    folder.mkdir()
    with rclone_s3(folder, "bucket") as running:
        yield running


@asynccontextmanager
async def system_for(
    folder: Path, database_url: str, amqp_url: str, server: HttpServer, **overrides: str
) -> AsyncIterator[System]:
    """The system with Replicate and its files at `server`."""
    (folder / "replicate.yaml").write_text(
        json.dumps({"providers": {"replicate": {"base_url": f"{server.url}/v1"}, "fal": {"base_url": server.url}}})
    )
    port = str(free_port())
    settings = {
        "PROVIDERS_FILE": str(folder / "replicate.yaml"),
        "SANDBOX_PORT": port,
        "ALLOW_PRIVATE_HOSTS": f"127.0.0.1:{port},{server.host}",
        "BACKSTOP_LEASE_SECONDS": str(LEASE_SECONDS),
        "RECOVERY_CONCURRENCY": "16",
        **overrides,
    }
    async with running_system(folder, database_url, amqp_url, **settings) as system:
        yield system


@asynccontextmanager
async def second_recovery(system: System) -> AsyncIterator[Process]:
    """Another replica beside the first."""
    port = str(free_port())
    environ = {**system.environ, "BACKSTOP_RECOVERY_PORT": port}
    output = system.folder / "recovery-2.log"
    process = Process("backstop_recovery", environ, output, f"http://127.0.0.1:{port}/readyz")
    process.start()
    try:
        await process.wait_until_ready()
        yield process
    finally:
        process.stop()


async def seed(transactions: Transactions, server: HttpServer, files: Sequence[LargeFile]) -> list[UUID]:
    """One task per file, which its provider calls finished."""
    factory = Factory(transactions)
    user = await factory.user(balance=1000)
    tasks = []
    for number, file in enumerate(files):
        output = server.handle(f"/files/{number}.mp4", file.stream)
        server.answer(f"/v1/predictions/g-{number}", json.dumps({"status": "succeeded", "output": output}).encode())
        tasks.append(await factory.task(user, provider="replicate", provider_task_id=f"g-{number}", credits=5))
    return tasks


async def recovered(system: System, transactions: Transactions, *, within: float) -> float:
    """Trigger a run and wait for its end; the seconds it took."""
    started = time.monotonic()
    async with system.admin() as admin:
        answer = await admin.post("/api/admin/trigger-cron")
    assert answer.status_code == 202, answer.text

    async def ended() -> Any:
        async with transactions.read() as reading:
            return await reading.value(
                "SELECT status FROM cron_job_executions WHERE id = :id AND status <> 'running'",
                id=answer.json()["executionId"],
            )

    assert await eventually(ended, within=within, what="the end of the run") == "completed"
    return time.monotonic() - started


async def prove(transactions: Transactions, tasks: Sequence[UUID], files: Sequence[LargeFile], folder: Path) -> None:
    """Each was fetched once, stored whole, settled once, and by its first claim."""
    async with transactions.read() as reading:
        rows = await reading.rows(
            "SELECT t.id, t.status, t.fence, a.key, a.sha256, a.size_bytes, a.content_type,"
            " (SELECT count(*) FROM task_events e WHERE e.task_id = t.id AND e.kind = 'checked') AS checks,"
            " (SELECT count(*) FROM credit_transactions c WHERE c.task_id = t.id AND c.kind = 'charge') AS charges"
            " FROM tasks t JOIN task_assets a ON a.task_id = t.id"
        )
    found = {row["id"]: row for row in rows}
    assert len(rows) == len(tasks)
    for task, file in zip(tasks, files, strict=True):
        row = found[task]
        assert (row["status"], row["fence"], row["checks"], row["charges"]) == ("completed", 1, 1, 1)
        assert (row["size_bytes"], row["content_type"]) == (file.size_bytes, "video/mp4")
        expected = await asyncio.to_thread(file.sha256)
        assert row["sha256"] == expected
        assert await asyncio.to_thread(_sha256_of, folder / row["key"]) == expected
        assert file.sent == 1
    assert await broken_truths(transactions) == {}


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def report(what: str, mebibytes: int, seconds: float, *processes: Process) -> float:
    """Print the figures; the highest peak of memory in MiB."""
    peak = max(peak_mib(process.pid) for process in processes)
    rate = mebibytes * 2**20 / 1e6 / seconds
    print(f"{what}: {mebibytes} MiB in {seconds:.1f} s ({rate:.0f} MB/s), peak {peak:.0f} MiB")  # noqa: T201 - the figure
    return peak


async def test_a_copy_that_outlasts_its_lease_keeps_it_beside_a_second_replica(
    tmp_path: Path, database_url: str, amqp_url: str, transactions: Transactions, server: HttpServer, sizes: Sizes
) -> None:
    file = LargeFile(sizes.one, seconds=LONGER_THAN_THE_LEASE)
    async with (
        system_for(tmp_path, database_url, amqp_url, server) as system,
        second_recovery(system) as second,
    ):
        tasks = await seed(transactions, server, [file])
        seconds = await recovered(system, transactions, within=120)
        assert seconds > LONGER_THAN_THE_LEASE > 2 * LEASE_SECONDS
        peak = report("throttled, two replicas", sizes.one, seconds, system.processes["recovery"], second)
        await prove(transactions, tasks, [file], system.assets_folder)
        assert peak < MOST_MIB


async def test_a_large_file_reaches_a_bucket_whole_with_flat_memory(
    tmp_path: Path,
    database_url: str,
    amqp_url: str,
    transactions: Transactions,
    server: HttpServer,
    bucket: S3Server,
    sizes: Sizes,
) -> None:
    file = LargeFile(sizes.one)
    settings = {
        **bucket.environ,
        "ASSET_STORE_URL": "s3://bucket/made",
        "ASSET_STORE_ENDPOINT": bucket.endpoint,
    }
    async with system_for(tmp_path, database_url, amqp_url, server, **settings) as system:
        tasks = await seed(transactions, server, [file])
        seconds = await recovered(system, transactions, within=300)
        peak = report("into S3", sizes.one, seconds, system.processes["recovery"])
        await prove(transactions, tasks, [file], bucket.folder / "bucket" / "made")
        assert peak < MOST_MIB


async def test_several_large_files_at_once_share_the_memory(
    tmp_path: Path, database_url: str, amqp_url: str, transactions: Transactions, server: HttpServer, sizes: Sizes
) -> None:
    files = [LargeFile(size, seed=number + 1) for number, size in enumerate(sizes.several)]
    whole = LargeFile(sizes.one)
    async with system_for(tmp_path, database_url, amqp_url, server) as system:
        tasks = await seed(transactions, server, [*files, whole])
        seconds = await recovered(system, transactions, within=300)
        total = sum(sizes.several) + sizes.one
        peak = report("nine at once into a folder", total, seconds, system.processes["recovery"])
        await prove(transactions, tasks, [*files, whole], system.assets_folder)
        assert peak < MOST_MIB
