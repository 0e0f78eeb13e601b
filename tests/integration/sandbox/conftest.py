"""A sandbox of this test's own on free ports, and a client for it."""

from collections.abc import AsyncIterator

import httpx
import pytest

from backstop_sandbox import Sandbox, SandboxSettings


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxSettings(port=0, smtp_port=0)) as running:
        yield running


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=sandbox.url) as opened:
        yield opened
