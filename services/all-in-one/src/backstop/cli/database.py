"""The database a command works on: DATABASE_URL, else the embedded one of the data folder."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from backstop.embedded import data_folder, embedded_postgres
from backstop_common.database import Transactions
from backstop_common.running import open_runtime
from backstop_common.settings import SharedSettings, load_settings


@contextmanager
def database_address() -> Iterator[str]:
    """The address for as long as the block lasts; the embedded server is started when nobody runs it yet."""
    given = os.environ.get("DATABASE_URL")
    if given:
        yield given
        return
    with embedded_postgres(data_folder()) as address:
        yield address


@asynccontextmanager
async def command_transactions(database_url: str) -> AsyncIterator[Transactions]:
    """The way to a migrated database.

    Raises:
        ConfigurationError: it does not answer, refuses us, or has an older schema.
    """
    runtime = open_runtime(load_settings(SharedSettings), name="cli", database_url=database_url)
    try:
        await runtime.wait_for_database()
        yield runtime.transactions
    finally:
        await runtime.engine.dispose()
