"""An admin-api on this test's database, and clients for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import ASGIApp

from backstop_common.database import Transactions
from tests.support.admin_api import ADMIN_TOKEN, PlayedRecovery, admin_app, client_of
from tests.support.factories import Factory


@pytest.fixture
async def factory(transactions: Transactions) -> Factory:
    factory = Factory(transactions)
    await factory.job()
    return factory


@pytest.fixture
def recovery(transactions: Transactions) -> PlayedRecovery:
    return PlayedRecovery(transactions)


@pytest.fixture
def app(transactions: Transactions) -> ASGIApp:
    return admin_app(transactions)


@pytest.fixture
async def client(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    """Nobody in particular."""
    async with client_of(app) as client:
        yield client


@pytest.fixture
async def browser(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who is logged in."""
    async with client_of(app) as client:
        answer = await client.post("/admin/login", data={"token": ADMIN_TOKEN})
        assert answer.status_code == 303
        yield client
