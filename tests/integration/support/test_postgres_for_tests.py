"""The PostgreSQL of the tests starts, forgets nothing that was committed, and leaves nothing behind."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from tests.support import postgres


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.PostgresServer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TEST_DATABASE_URL", raising=False)
        server = postgres.start()
    yield server
    server.stop()


@pytest.fixture
def database(server: postgres.PostgresServer) -> Iterator[str]:
    name = f"t_{uuid4().hex}"
    yield server.create_database(name)
    server.drop_database(name)


async def run(url: str, *statements: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            rows = await connection.fetch(statement)
        return rows
    finally:
        await connection.close()


def is_running(pid: int) -> bool:
    """Whether `pid` runs a program; one that ended and was not yet collected by its parent has no command line."""
    commandline = Path(f"/proc/{pid}/cmdline")
    return commandline.exists() and commandline.read_bytes() != b""


async def test_a_copy_has_what_its_template_had_and_its_writes_stay_its_own(
    server: postgres.PostgresServer, database: str
) -> None:
    await run(database, "CREATE TABLE things (name text)", "INSERT INTO things VALUES ('a')")
    copy = server.create_database("copy", template=urlsplit(database).path.removeprefix("/"))
    await run(copy, "INSERT INTO things VALUES ('b')")
    assert [row["name"] for row in await run(copy, "SELECT name FROM things ORDER BY name")] == ["a", "b"]
    assert [row["name"] for row in await run(database, "SELECT name FROM things")] == ["a"]
    server.drop_database("copy")


async def test_a_database_in_use_can_be_dropped(server: postgres.PostgresServer) -> None:
    connection = await asyncpg.connect(server.create_database("busy"))
    server.drop_database("busy")
    with pytest.raises(asyncpg.PostgresError):
        await connection.fetch("SELECT 1")
    assert not server.execute("SELECT 1 FROM pg_database WHERE datname = 'busy'")


async def test_a_hard_stop_keeps_what_was_committed_and_loses_what_was_not(
    server: postgres.PostgresServer, database: str
) -> None:
    await run(database, "CREATE TABLE things (name text)", "INSERT INTO things VALUES ('committed')")
    open_one = await asyncpg.connect(database)
    transaction = open_one.transaction()
    await transaction.start()
    await open_one.execute("INSERT INTO things VALUES ('open')")
    server.stop_hard()
    with pytest.raises((OSError, asyncpg.PostgresError)):
        await asyncpg.connect(database, timeout=2)
    server.start_again()
    assert [row["name"] for row in await run(database, "SELECT name FROM things")] == ["committed"]
    open_one.terminate()


@pytest.mark.parametrize("immediate", [True, False])
def test_after_a_restart_the_same_address_answers(server: postgres.PostgresServer, immediate: bool) -> None:
    server.restart(immediate=immediate)
    assert server.execute("SELECT 1 AS one")[0]["one"] == 1


def test_a_stopped_server_leaves_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    server = postgres.start()
    assert server.own is not None
    folder = server.own.folder
    pid = int((folder / "pg" / "postmaster.pid").read_text().splitlines()[0])
    server.stop()
    server.stop()
    assert not folder.exists()
    assert not is_running(pid)


def test_a_given_server_is_used_and_never_stopped(
    server: postgres.PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_DATABASE_URL", server.admin_url.replace("postgresql://", "postgresql+asyncpg://"))
    given = postgres.start()
    with pytest.raises(postgres.NotOurServerError, match="TEST_DATABASE_URL"):
        given.stop_hard()
    given.stop()
    assert given.execute("SELECT 1 AS one")[0]["one"] == 1
