"""Bringing a database to the newest schema: idempotent, and safe when several processes start at once."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

_LOCK = 0x6261636B73746F70
"""The advisory lock of a migration ("backstop" in ASCII)."""


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    command.upgrade(_config(connection), "head")


async def migrate(engine: AsyncEngine) -> None:
    """Apply all missing steps in one transaction; a second process waits for the first and then finds nothing to do."""
    async with engine.begin() as connection:
        await connection.run_sync(_upgrade)


def newest_revision() -> str:
    """The revision this code was written for."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise RuntimeError("the package carries no migrations")
    return head


async def current_revision(engine: AsyncEngine) -> str | None:
    """The revision of the database, or None when it was never migrated."""
    async with engine.connect() as connection:
        return await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())


def check(connection: Connection) -> None:
    """Raise when the schema in the database and the one in `tables` differ (alembic's autogenerate finds something)."""
    command.check(_config(connection))
