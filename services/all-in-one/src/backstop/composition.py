"""All services in one process: on one event loop, one database, and the embedded queue unless AMQP_URL is set."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

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
    settings = _Settings.load(overrides)
    runtime = open_runtime(settings.shared, name="all-in-one", database_url=database_url)
    try:
        await runtime.reach_database()
        await migrate(runtime.engine)
        services = _services(runtime, settings, {**os.environ, **overrides})
    except BaseException:
        await runtime.stop()
        raise
    async with start_services(runtime, services) as servers:
        host = settings.shared.host
        yield Running(runtime, {name: f"http://{host}:{server.port}" for name, server in servers.items()})


@dataclass(frozen=True, slots=True)
class _Settings:
    """All of them, read before anything is opened."""

    shared: SharedSettings
    scheduler: SchedulerSettings
    recovery: RecoverySettings
    notifier: NotifierSettings
    admin_api: AdminApiSettings

    @classmethod
    def load(cls, overrides: Mapping[str, str]) -> Self:
        return cls(
            load_settings(SharedSettings, **overrides),
            load_settings(SchedulerSettings, **overrides),
            load_settings(RecoverySettings, **overrides),
            load_settings(NotifierSettings, **overrides),
            load_settings(AdminApiSettings, **overrides),
        )


def _services(runtime: Runtime, settings: _Settings, environ: Mapping[str, str]) -> list[Service]:
    """Recovery first: it is the one whose composing can still refuse (providers file, asset store)."""
    recovery = backstop_recovery.main.compose(settings.recovery, runtime, environ)
    return [
        backstop_scheduler.main.compose(settings.scheduler, runtime),
        recovery,
        backstop_notifier.main.compose(settings.notifier, runtime),
        backstop_admin_api.main.compose(settings.admin_api, runtime, environ),
    ]
