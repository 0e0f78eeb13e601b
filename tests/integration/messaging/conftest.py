"""A service in the small: relay and consumers over a real broker and a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from backstop_common.messaging import Subscription
from backstop_common.running import Runtime
from backstop_common.running.runtime import open_runtime
from backstop_common.settings import SharedSettings, load_settings
from tests.support.running import turning

Running = Callable[[Sequence[Subscription]], AbstractAsyncContextManager[Runtime]]


def _running(database_url: str, amqp_url: str | None) -> Running:
    @asynccontextmanager
    async def run(subscriptions: Sequence[Subscription]) -> AsyncIterator[Runtime]:
        settings = load_settings(SharedSettings, DATABASE_URL=database_url, AMQP_URL=amqp_url)
        runtime = open_runtime(settings, name="tests")
        await runtime.start(subscriptions)
        try:
            async with turning(runtime.loops):
                yield runtime
        finally:
            await runtime.stop_consuming()
            await runtime.stop()

    return run


@pytest.fixture
def on_rabbit(database_url: str, amqp_url: str) -> Running:
    return _running(database_url, amqp_url)


@pytest.fixture(params=["rabbitmq", "embedded"])
def on_either(request: pytest.FixtureRequest, database_url: str) -> Running:
    """The same contract on both bindings."""
    amqp_url = request.getfixturevalue("amqp_url") if request.param == "rabbitmq" else None
    return _running(database_url, amqp_url)
