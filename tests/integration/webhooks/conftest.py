"""An admin-api that knows the secrets of some providers, and somebody who sends webhooks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from backstop_common.database import Transactions
from tests.support.factories import Factory
from tests.support.recovery import broken_truths
from tests.support.webhooks import Sender, webhook_client


@pytest.fixture
async def client(transactions: Transactions) -> AsyncIterator[httpx.AsyncClient]:
    async with webhook_client(transactions) as client:
        yield client


@pytest.fixture
def factory(transactions: Transactions) -> Factory:
    return Factory(transactions)


@pytest.fixture
async def sender(client: httpx.AsyncClient, transactions: Transactions, factory: Factory) -> AsyncIterator[Sender]:
    """Replicate, with one registered task; whatever it sends, no credit moves."""
    sender = Sender(client, transactions)
    await sender.make_task(factory, age_seconds=5)
    yield sender
    assert await broken_truths(transactions) == {}
    async with transactions.read() as reading:
        assert await reading.value("SELECT status FROM tasks WHERE id = :id", id=sender.task_id) != "completed"
