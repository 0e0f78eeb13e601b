"""Servers and databases for all tests: started once when first asked for, a clone or a virtual host per test."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from backstop_common.database import Transactions, create_engine
from backstop_common.database.migrating import migrate
from tests.support import postgres, rabbitmq
from tests.support.postgres import PostgresServer
from tests.support.rabbitmq import RabbitServer

_TEMPLATE = f"backstop_template_{secrets.token_hex(4)}"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-full", action="store_true", help="run the long version of the fault tests")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for the session, with a migrated template database."""
    server = postgres.start()
    template = server.create_database(_TEMPLATE)

    async def prepare() -> None:
        engine = create_engine(template, application_name="tests")
        await migrate(engine)
        await engine.dispose()

    asyncio.run(prepare())
    yield server
    server.drop_database(_TEMPLATE)
    server.stop()


@pytest.fixture
def database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A migrated, empty database of this test's own."""
    name = f"test_{secrets.token_hex(6)}"
    yield postgres_server.create_database(name, template=_TEMPLATE)
    postgres_server.drop_database(name)


@pytest.fixture
async def transactions(database_url: str) -> AsyncIterator[Transactions]:
    """The way to this test's database."""
    engine = create_engine(database_url, application_name="tests")
    yield Transactions(engine)
    await engine.dispose()


@pytest.fixture(scope="session")
def rabbit_server() -> Iterator[RabbitServer]:
    """One broker for the session."""
    server = rabbitmq.start()
    yield server
    server.close()


@pytest.fixture
def amqp_url(rabbit_server: RabbitServer) -> Iterator[str]:
    """A virtual host of this test's own."""
    name = f"test_{secrets.token_hex(6)}"
    yield rabbit_server.create_vhost(name)
    rabbit_server.delete_vhost(name)
