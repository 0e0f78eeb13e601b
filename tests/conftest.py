"""Servers and databases for all tests: started once when first asked for, a clone or a virtual host per test."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from backstop_common.database import Transactions, create_engine
from backstop_common.database.migrating import migrate
from tests.support import postgres, rabbitmq
from tests.support.postgres import PostgresServer
from tests.support.rabbitmq import RabbitServer
from tests.support.tally import Tally

_TALLY = pytest.StashKey[Tally]()
_TEMPLATE = f"backstop_template_{secrets.token_hex(4)}"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-full", action="store_true", help="run the long version of the fault tests")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TALLY] = Tally()


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    """Counts what the fault tests tried; it is told at the end of the session."""
    return request.config.stash[_TALLY]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker hands its counts to whoever started it."""
    handed_over: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if handed_over is not None:
        handed_over["tally"] = dict(session.config.stash[_TALLY].counts)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker has ended."""
    for what, number in getattr(node, "workeroutput", {}).get("tally", {}).items():
        node.config.stash[_TALLY].add(what, number)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    told = str(config.stash[_TALLY])
    if told:
        terminalreporter.section("faults tried")
        terminalreporter.line(told)


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
