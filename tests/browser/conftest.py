"""A real Chromium before a real admin-api: one browser per test, an address on loopback."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from backstop_common.database import Transactions
from backstop_common.running.http import HttpServer
from tests.support.admin_api import PlayedRecovery, admin_app
from tests.support.factories import Factory

CHROMIUM = Path("/usr/bin/chromium")
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium() -> Path:
    """Debian's Chromium; installed when it is missing and we may."""
    if not CHROMIUM.exists():
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", "chromium"], check=True)
    return CHROMIUM


@pytest.fixture
async def chrome(chromium: Path) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, headless=True, args=_ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
async def factory(transactions: Transactions) -> Factory:
    factory = Factory(transactions)
    await factory.job()
    return factory


@pytest.fixture
def recovery(transactions: Transactions) -> PlayedRecovery:
    return PlayedRecovery(transactions)


@pytest.fixture
async def address(transactions: Transactions) -> AsyncIterator[str]:
    """The address of an admin-api."""
    server = HttpServer(admin_app(transactions), host="127.0.0.1", port=0, setting="BACKSTOP_PORT")
    await server.start()
    yield f"http://127.0.0.1:{server.port}"
    await server.stop()
