"""An admin-api on this test's database, and an app that has a key for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from backstop_common.database import Transactions
from tests.support.admin_api import admin_app, client_of
from tests.support.intake import App, app_with_key
from tests.support.recovery import broken_truths


@pytest.fixture
async def client(transactions: Transactions) -> AsyncIterator[httpx.AsyncClient]:
    """Nobody in particular."""
    async with client_of(admin_app(transactions)) as client:
        yield client


@pytest.fixture
async def app(client: httpx.AsyncClient, transactions: Transactions) -> AsyncIterator[App]:
    """An app; whatever it does, money and labels agree afterwards."""
    yield await app_with_key(client, transactions)
    assert await broken_truths(transactions) == {}
