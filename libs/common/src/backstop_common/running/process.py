"""One service as one operating-system process: settings, signals, exit codes.

SIGTERM and SIGINT drain and exit 0. A wrong configuration prints one sentence to standard error and exits 2.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from typing import NoReturn, TypeVar

from backstop_common.errors import ConfigurationError
from backstop_common.observability.logging import configure_logging
from backstop_common.running.runtime import Runtime, open_runtime
from backstop_common.running.service import Service, start_services
from backstop_common.settings import SharedSettings, load_settings

S = TypeVar("S", bound=SharedSettings)

EXIT_CONFIGURATION = 2


def exit_with_sentence(error: ConfigurationError) -> NoReturn:
    """Tell what is wrong with the configuration and end."""
    sys.stderr.write(f"backstop: {error}\n")
    raise SystemExit(EXIT_CONFIGURATION)


def run_process(name: str, kind: type[S], compose: Callable[[S, Runtime], Service]) -> None:
    """Run one service on RabbitMQ until it is told to stop."""
    try:
        settings = load_settings(kind)
        configure_logging(service=name, level=settings.log_level, output=settings.log_format)
        _require_broker(settings)
        asyncio.run(_serve(name, settings, compose))
    except ConfigurationError as error:
        exit_with_sentence(error)


def _require_broker(settings: SharedSettings) -> None:
    if settings.amqp_url is None:
        raise ConfigurationError(
            "AMQP_URL is not set; services in separate processes need RabbitMQ: set it to"
            " amqp://USER:PASSWORD@HOST:5672/VHOST, or run everything in one process with `backstop up`"
        )


async def _serve(name: str, settings: S, compose: Callable[[S, Runtime], Service]) -> None:
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop.set)
    runtime = open_runtime(settings, name=name)
    service = compose(settings, runtime)
    async with start_services(runtime, [service]):
        await told_to_stop.wait()
