"""A service as a value, and how several of them start and stop in one process.

Start: dependencies first, then HTTP, then messages and loops. Stop: messages first (nothing new comes in), then loops,
then HTTP, then connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import structlog
from starlette.applications import Starlette
from starlette.types import ASGIApp

from backstop_common.loop import Loop
from backstop_common.messaging.subscription import Subscription
from backstop_common.observability.probes import Check, probe_routes
from backstop_common.running.http import HttpServer
from backstop_common.running.runtime import Runtime

_log = structlog.get_logger(__name__)

_STOP_SECONDS = 10.0


async def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Service:
    """What a service is made of. `app` builds its HTTP application with the probes; without it, probes are all.

    `stop` releases what composing opened, so it is called even when `start` never was.
    """

    name: str
    host: str
    port: int
    port_setting: str
    subscriptions: Sequence[Subscription] = ()
    loops: Sequence[Loop] = ()
    checks: Mapping[str, Check] = field(default_factory=dict)
    app: Callable[[Sequence[Loop], Mapping[str, Check]], ASGIApp] | None = None
    start: Callable[[], Awaitable[None]] = _nothing
    stop: Callable[[], Awaitable[None]] = _nothing


def _application(service: Service, runtime: Runtime) -> ASGIApp:
    checks = {"database": runtime.check_database, "broker": runtime.check_broker, **service.checks}
    if service.app is not None:
        return service.app([*service.loops, *runtime.loops], checks)
    return Starlette(routes=probe_routes(loops=lambda: [*service.loops, *runtime.loops], checks=checks))


@asynccontextmanager
async def start_services(runtime: Runtime, services: Sequence[Service]) -> AsyncIterator[Mapping[str, HttpServer]]:
    """Run services until the block is left; yields their HTTP servers by service name.

    Raises:
        ConfigurationError: something a service needs is not there; what did start is stopped again.
    """
    servers: dict[str, HttpServer] = {}
    tasks: list[asyncio.Task[None]] = []
    loops: list[Loop] = []
    try:
        await runtime.wait_for_database()
        for service in services:
            await service.start()
        for service in services:
            server = HttpServer(
                _application(service, runtime), host=service.host, port=service.port, setting=service.port_setting
            )
            await server.start()
            servers[service.name] = server
        await runtime.start([subscription for service in services for subscription in service.subscriptions])
        loops = [*runtime.loops, *(loop for service in services for loop in service.loops)]
        tasks = [asyncio.create_task(loop.run(), name=f"loop:{loop.name}") for loop in loops]
        _log.info("started", services=[service.name for service in services])
        yield servers
    finally:
        async with AsyncExitStack() as ending:
            # Last in, first out: each step is taken although another one fails.
            ending.push_async_callback(runtime.stop)
            for service in services:
                ending.push_async_callback(service.stop)
            for server in servers.values():
                ending.push_async_callback(server.stop)
            ending.push_async_callback(_finish, loops, tasks)
            ending.push_async_callback(runtime.stop_consuming)
        _log.info("stopped", services=[service.name for service in services])


async def _finish(loops: Sequence[Loop], tasks: Sequence[asyncio.Task[None]]) -> None:
    """Let loops end their turn; cancel what takes too long (its work is rolled back or leased, and found again)."""
    for loop in loops:
        loop.stop()
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
    for task in late:
        _log.warning("loop_cancelled", loop=task.get_name())
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
