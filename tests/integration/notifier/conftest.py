"""A notifier of this test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.notifier import NotifierUnderTest, notifier_under_test


@pytest.fixture
async def notifier(database_url: str) -> AsyncIterator[NotifierUnderTest]:
    async with notifier_under_test(database_url) as running:
        yield running
