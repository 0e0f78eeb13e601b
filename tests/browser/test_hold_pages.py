"""A hold on failures as a person meets it: told on the dashboard, decided on a page of its own, on any screen.

With `BACKSTOP_SCREENSHOTS=DIRECTORY` the pages are kept as pictures.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from backstop_common.database import Transactions
from tests.support.admin_api import ADMIN_TOKEN
from tests.support.believable import fifty_runs
from tests.support.factories import Factory
from tests.support.holds import open_hold

SCREENS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 860}},
    "dark": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True},
}


async def _dashboard(chrome: Browser, address: str, **options: Any) -> Page:
    context = await chrome.new_context(base_url=address, locale="en-GB", timezone_id="Europe/Berlin", **options)
    page = await context.new_page()
    page.set_default_timeout(10_000)
    await page.goto("/admin/cron-jobs")
    await page.get_by_label("Admin token").fill(ADMIN_TOKEN)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url("**/admin/cron-jobs")
    return page


async def _keep(page: Page, name: str) -> None:
    folder = os.environ.get("BACKSTOP_SCREENSHOTS")
    if folder:
        await page.screenshot(path=Path(folder) / f"{name}.png")


async def _overflows(page: Page) -> bool:
    return bool(await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


@pytest.mark.parametrize("screen", SCREENS)
async def test_a_hold_is_told_and_explained_on_every_screen(
    chrome: Browser, address: str, factory: Factory, transactions: Transactions, screen: str
) -> None:
    await fifty_runs(transactions)
    await open_hold(transactions, replicate=28, fal=3)
    page = await _dashboard(chrome, address, **SCREENS[screen])
    await expect(page.get_by_role("heading", name="31 failures wait for your decision")).to_be_visible()
    assert not await _overflows(page)
    await _keep(page, f"hold-{screen}")
    for decision, link, title in (
        ("approve", "Let them fail…", "Let these tasks fail?"),
        ("recheck", "Ask again…", "Ask the providers again?"),
    ):
        await page.goto("/admin/cron-jobs")
        await page.get_by_role("link", name=link).click()
        await expect(page.get_by_role("heading", name=title)).to_be_visible()
        assert not await _overflows(page)
        await _keep(page, f"hold-{decision}-{screen}")


async def test_a_decision_is_made_with_the_keyboard_alone(
    chrome: Browser, address: str, factory: Factory, transactions: Transactions
) -> None:
    await open_hold(transactions)
    page = await _dashboard(chrome, address, **SCREENS["light"])
    await page.get_by_role("link", name="Ask again…").press("Enter")
    await expect(page.get_by_label("Why?")).to_be_focused()
    await page.keyboard.type("their status page says it is mended")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status").filter(has_text="nothing was approved")).to_be_visible()
    async with transactions.read() as reading:
        assert await reading.value("SELECT count(*) FROM outbox WHERE type = 'hold.lift'") == 1


async def test_a_decision_without_a_reason_is_not_sent(
    chrome: Browser, address: str, factory: Factory, transactions: Transactions
) -> None:
    await open_hold(transactions)
    page = await _dashboard(chrome, address, **SCREENS["light"])
    await page.get_by_role("link", name="Let them fail…").click()
    await page.get_by_role("button", name="Let them fail").click()
    await expect(page.get_by_role("heading", name="Let these tasks fail?")).to_be_visible()
    async with transactions.read() as reading:
        assert await reading.value("SELECT count(*) FROM outbox WHERE type = 'hold.lift'") == 0
