"""All services in one process: on one event loop, one database, and the embedded queue unless AMQP_URL is set."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import backstop_admin_api.main
import backstop_notifier.main
import backstop_recovery.main
import backstop_scheduler.main
from backstop_admin_api.settings import AdminApiSettings
from backstop_common.database.migrating import migrate
from backstop_common.running import Runtime, Service, open_runtime, start_services
from backstop_common.settings import SharedSettings, load_settings
from backstop_notifier.settings import NotifierSettings
from backstop_recovery.settings import RecoverySettings
from backstop_scheduler.settings import SchedulerSettings


@dataclass(frozen=True, slots=True)
class Running:
    """What started: the runtime, and the address of each service's HTTP server by its name."""

    runtime: Runtime
    addresses: Mapping[str, str]


@asynccontextmanager
async def all_services(database_url: str, overrides: Mapping[str, str]) -> AsyncIterator[Running]:
    """Migrate the database and run the four services until the block is left.

    Args:
        overrides: settings by environment name; they win over the environment.

    Raises:
        ConfigurationError: a setting is wrong, a port is taken, or something does not answer.
    """
    shared = load_settings(SharedSettings, **overrides)
    runtime = open_runtime(shared, name="all-in-one", database_url=database_url)
    await migrate(runtime.engine)
    services = _services(runtime, overrides)
    async with start_services(runtime, services) as servers:
        yield Running(runtime, {name: f"http://{shared.host}:{server.port}" for name, server in servers.items()})


def _services(runtime: Runtime, overrides: Mapping[str, str]) -> list[Service]:
    environ = {**os.environ, **overrides}
    return [
        backstop_scheduler.main.compose(load_settings(SchedulerSettings, **overrides), runtime),
        backstop_recovery.main.compose(load_settings(RecoverySettings, **overrides), runtime, environ),
        backstop_notifier.main.compose(load_settings(NotifierSettings, **overrides), runtime),
        backstop_admin_api.main.compose(load_settings(AdminApiSettings, **overrides), runtime),
    ]
