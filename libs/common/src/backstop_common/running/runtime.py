"""What a process lends to its services: the database, the queue, and the relay between them.

With `AMQP_URL` the queue is RabbitMQ; without it, in the embedded composition, the relay hands messages to the
handlers of the same process. Nothing else in the system knows the difference.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import structlog
from aio_pika.exceptions import AMQPError, AuthenticationError, ProbableAuthenticationError
from asyncpg.exceptions import ClientConfigurationError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from backstop_common.database import Transactions, create_engine
from backstop_common.database.migrating import current_revision, newest_revision
from backstop_common.database.refusals import cause_of, sqlstate
from backstop_common.errors import ConfigurationError
from backstop_common.loop import Loop
from backstop_common.messaging.local import LocalDispatcher
from backstop_common.messaging.rabbit import RabbitConsumers, RabbitPublisher, amqp_address
from backstop_common.messaging.subscription import Subscription
from backstop_common.outbox.relay import Relay
from backstop_common.settings import SharedSettings

_log = structlog.get_logger(__name__)

T = TypeVar("T")

_RELAY_INTERVAL_SECONDS = 0.5
_MEASURE_INTERVAL_SECONDS = 10.0


@dataclass(slots=True)
class Runtime:
    """One per process. `transactions` is what services build on."""

    name: str
    engine: AsyncEngine
    amqp_url: str | None
    start_timeout_seconds: float
    transactions: Transactions = field(init=False)
    loops: list[Loop] = field(default_factory=list)
    _publisher: RabbitPublisher | None = None
    _consumers: RabbitConsumers | None = None
    _relay_loop: Loop | None = None

    def __post_init__(self) -> None:
        self.transactions = Transactions(self.engine, self._wake_relay)

    def _wake_relay(self) -> None:
        if self._relay_loop is not None:
            self._relay_loop.wake()

    async def start(self, subscriptions: Sequence[Subscription]) -> None:
        """Make the queue ready and start to relay.

        Raises:
            ConfigurationError: the broker does not answer in time, or refuses us.
        """
        if self.amqp_url is None:
            dispatcher = LocalDispatcher(self.transactions, subscriptions)
            relay = Relay(Transactions(self.engine), dispatcher)
            measure_dead_letters = dispatcher.measure
        else:
            self._publisher = RabbitPublisher(self.amqp_url, name=self.name)
            await self._patiently("AMQP_URL", self._publisher.start)
            self._consumers = RabbitConsumers(self.amqp_url, self.name, subscriptions, self._publisher)
            await self._patiently("AMQP_URL", self._consumers.start)
            relay = Relay(Transactions(self.engine), self._publisher)
            measure_dead_letters = self._publisher.measure
        self._relay_loop = Loop("relay", relay.run_once, interval_seconds=_RELAY_INTERVAL_SECONDS)
        self.loops = [
            self._relay_loop,
            Loop("outbox-gauges", relay.measure, interval_seconds=_MEASURE_INTERVAL_SECONDS),
            Loop("dead-letter-gauges", measure_dead_letters, interval_seconds=_MEASURE_INTERVAL_SECONDS),
        ]

    async def stop_consuming(self) -> None:
        """No new messages from here on; running handlers are given time to end."""
        if self._consumers is not None:
            await self._consumers.stop()

    async def stop(self) -> None:
        """Close everything that is still open."""
        if self._publisher is not None:
            await self._publisher.stop()
        await self.engine.dispose()

    async def check_database(self) -> str | None:
        """Readiness: the database answers and has the schema this code was written for."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        return None

    async def check_broker(self) -> str | None:
        """Readiness: RabbitMQ is connected, or not needed."""
        if self.amqp_url is None:
            return None
        if self._publisher is None or self._consumers is None:
            return "RabbitMQ is not connected yet"
        return None if self._publisher.is_connected and self._consumers.is_connected else "RabbitMQ is not connected"

    async def reach_database(self) -> str | None:
        """Wait until the database answers; the revision of its schema, None when it was never migrated.

        Raises:
            ConfigurationError: it does not answer in time, or refuses us.
        """
        return await self._patiently("DATABASE_URL", lambda: current_revision(self.engine))

    async def wait_for_database(self) -> None:
        """Wait until the database answers and is migrated.

        Raises:
            ConfigurationError: it does not answer in time, refuses us, or has an older schema.
        """
        revision = await self.reach_database()
        if revision != newest_revision():
            raise ConfigurationError(
                f"DATABASE_URL: the database's schema is {revision or 'empty'}, this version needs {newest_revision()};"
                " run `backstop migrate` first"
            )

    async def _patiently(self, setting: str, action: Callable[[], Awaitable[T]]) -> T:
        """Try until the start time-out; refusals that waiting cannot mend end it at once."""
        deadline = asyncio.get_running_loop().time() + self.start_timeout_seconds
        address = _address_of(setting, self)
        while True:
            try:
                async with asyncio.timeout_at(max(deadline, asyncio.get_running_loop().time() + 1.0)):
                    return await action()
            except _FINAL_REFUSALS as error:
                raise ConfigurationError(
                    f"{setting}: {address} refuses us ({type(error).__name__}: {error});"
                    " correct user, password and name"
                ) from None
            except (OSError, AMQPError, DBAPIError, TimeoutError) as error:
                if isinstance(error, DBAPIError) and isinstance(cause_of(error), ClientConfigurationError):
                    raise ConfigurationError(f"{setting}: {cause_of(error)}; correct it") from None
                if isinstance(error, DBAPIError) and sqlstate(error).startswith(_REFUSING_CLASSES):
                    raise ConfigurationError(
                        f"{setting}: {address} refuses us ({_kind(error)}); correct user, password and database name"
                    ) from None
                if asyncio.get_running_loop().time() >= deadline:
                    raise ConfigurationError(
                        f"{setting}: nothing answers at {address} ({_kind(error)}); start it or correct the address"
                    ) from None
                _log.warning("start_waits", setting=setting, address=address, error=_kind(error))
            await asyncio.sleep(0.5)


_REFUSING_CLASSES = ("28", "3D")
"""SQLSTATE classes: invalid authorisation, invalid catalog name. Waiting does not mend them."""
_FINAL_REFUSALS = (AuthenticationError, ProbableAuthenticationError)


def _address_of(setting: str, runtime: Runtime) -> str:
    """Host and port for a person to check; never user or password."""
    if setting == "DATABASE_URL":
        url = runtime.engine.url
        return f"{url.host or url.query.get('host', 'localhost')}:{url.port or 5432}"
    broker = amqp_address(runtime.amqp_url or "")
    return f"{broker.host}:{broker.port or 5672}"


def _kind(error: BaseException) -> str:
    if isinstance(error, DBAPIError):
        return type(cause_of(error)).__name__
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else type(error).__name__


def open_runtime(settings: SharedSettings, *, name: str, database_url: str | None = None) -> Runtime:
    """The runtime of these settings; nothing is connected yet.

    Raises:
        ConfigurationError: an address is missing or malformed.
    """
    url = database_url or (settings.database_url.get_secret_value() if settings.database_url else None)
    if url is None:
        raise ConfigurationError(
            "DATABASE_URL is not set; set it to postgresql://USER:PASSWORD@HOST:5432/DATABASE,"
            " or run everything in one process with `backstop up`"
        )
    amqp_url = settings.amqp_url.get_secret_value() if settings.amqp_url else None
    if amqp_url is not None:
        amqp_address(amqp_url)
    engine = create_engine(url, application_name=f"backstop-{name}", pool_size=settings.database_pool_size)
    return Runtime(name, engine, amqp_url, settings.start_timeout_seconds)
