"""`up`, `demo`, `migrate`: running the system."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from backstop.cli.database import database_address
from backstop.cli.output import console
from backstop.composition import all_services
from backstop.demo.session import run_demo
from backstop.embedded import data_folder, kept_secrets
from backstop_common.database.migrating import current_revision, migrate
from backstop_common.observability.logging import configure_logging
from backstop_common.running import open_runtime
from backstop_common.settings import SharedSettings, load_settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up")(up)
    app.command("demo")(demo)
    app.command("migrate")(migrate_database)


def up() -> None:
    """Run all services in this process, with your configuration.

    Without DATABASE_URL on an embedded PostgreSQL, without AMQP_URL on the embedded queue, without ASSET_STORE_URL
    into a folder.
    """
    settings = load_settings(SharedSettings)
    configure_logging(service="backstop", level=settings.log_level, output=settings.log_format)
    folder = data_folder()
    overrides = kept_secrets(folder)
    if not os.environ.get("ASSET_STORE_URL"):
        overrides["ASSET_STORE_URL"] = _folder_url(folder / "assets")
    with database_address() as database_url:
        asyncio.run(_up(database_url, overrides, folder))


def _folder_url(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return folder.as_uri()


async def _up(database_url: str, overrides: dict[str, str], folder: Path) -> None:
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    async with all_services(database_url, overrides) as running:
        console.print(f"\n[bold]Backstop runs.[/] Dashboard: {running.addresses['admin-api']}/admin/cron-jobs")
        if not os.environ.get("ADMIN_TOKEN"):
            console.print(
                f"Log in with the admin token kept in {folder / 'secrets.json'} (ADMIN_TOKEN). Ctrl-C stops.\n"
            )
        await told_to_stop.wait()


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Recover once, print the run and the proof, and exit 0 if all of it holds.")
    ] = False,
) -> None:
    """Watch it work: a sandbox of providers, mailbox and chat, a seeded world of stuck tasks, and a fast schedule."""
    raise SystemExit(run_demo(once=once))


def migrate_database() -> None:
    """Bring the database to the newest schema."""
    with database_address() as database_url:
        asyncio.run(_migrate(database_url))


async def _migrate(database_url: str) -> None:
    runtime = open_runtime(load_settings(SharedSettings), name="migrate", database_url=database_url)
    try:
        before = await runtime.reach_database()
        await migrate(runtime.engine)
        after = await current_revision(runtime.engine)
    finally:
        await runtime.engine.dispose()
    console.print(
        f"The database is at schema {after}; nothing to do."
        if before == after
        else f"Migrated from {before or 'empty'} to {after}."
    )
