"""The dashboard as a person meets it: logging in, reading, refreshing, triggering; in the dark and on a phone.

With `BACKSTOP_SCREENSHOTS=DIRECTORY` the pages are kept as pictures.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from backstop_common.database import Transactions
from tests.support.admin_api import ADMIN_TOKEN, PlayedRecovery
from tests.support.believable import fifty_runs, some_tasks
from tests.support.factories import Factory
from tests.support.polling import eventually

RESULTS = {"completed": 12, "failed": 2, "stillProcessing": 3, "errors": 1, "totalFound": 18}
complaints: list[str] = []
strangers: list[str] = []

_PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True}
_DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 860}}


async def _open(chrome: Browser, address: str, **options: Any) -> Page:
    """A logged-in page on the dashboard. Anything the browser complains about fails the test."""
    context = await chrome.new_context(base_url=address, locale="en-GB", timezone_id="Europe/Berlin", **options)
    page = await context.new_page()
    page.set_default_timeout(10_000)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: strangers.append(request.url) if not request.url.startswith(address) else None)
    await page.goto("/admin/cron-jobs")
    await page.get_by_label("Admin token").fill(ADMIN_TOKEN)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url("**/admin/cron-jobs")
    return page


@pytest.fixture(autouse=True)
async def nothing_to_complain_about() -> AsyncIterator[None]:
    """No script error, no refused content, no request to anybody else."""
    complaints.clear()
    strangers.clear()
    yield
    assert complaints == []
    assert strangers == []


async def _keep(page: Page, name: str, *, whole: bool = False) -> None:
    folder = os.environ.get("BACKSTOP_SCREENSHOTS")
    if folder:
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=whole)


def _run(page: Page, text: str) -> Locator:
    """The table's line of the run with this text."""
    return page.locator("tbody.run").filter(has_text=text)


async def _overflows(page: Page) -> bool:
    return bool(await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


async def test_a_wrong_token_is_told(chrome: Browser, address: str) -> None:
    page = await chrome.new_page(base_url=address)
    await page.goto("/admin/cron-jobs")
    await _keep(page, "login")
    await page.get_by_label("Admin token").fill("a-token-that-is-wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("not the admin token")


async def test_cards_and_table_show_the_runs_in_the_viewers_zone(
    chrome: Browser, address: str, factory: Factory, transactions: Transactions
) -> None:
    await factory.run(results=RESULTS, duration_ms=67_500)
    await factory.run(status="failed", error_message="the store was away", started_seconds_ago=1200)
    async with transactions.begin() as tx:
        await tx.execute(
            "UPDATE cron_job_executions SET started_at = '2026-07-01 12:00:00Z' WHERE status = 'completed'"
        )
    page = await _open(chrome, address)
    cards = page.get_by_role("region", name="Statistics over all runs")
    await expect(cards).to_contain_text("Total Executions2")
    await expect(cards).to_contain_text("Success Rate50 %")
    await expect(cards).to_contain_text("Tasks Recovered12")
    row = _run(page, "completed")
    await expect(row).to_contain_text("1 Jul 2026, 14:00:00")
    await expect(row.get_by_role("cell")).to_contain_text(["1 min 08 s", "completed", "18", "12", "2", "3", "1"])
    await expect(page.get_by_role("cell", name="the store was away")).to_be_visible()


async def test_trigger_now_shows_the_result_in_a_dialog(
    chrome: Browser, address: str, factory: Factory, recovery: PlayedRecovery
) -> None:
    page = await _open(chrome, address, **_DESKTOP)
    await page.get_by_role("button", name="Trigger Now").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Run process-stuck-tasks now?")
    await dialog.get_by_role("button", name="Run now").click()
    await expect(dialog).to_contain_text("Running…")
    runs: list[UUID] = await eventually(recovery.start_pending)
    await expect(dialog).to_contain_text("Still running")
    # A run that recovery has not taken yet is a 404, which the browser tells though the page expects it.
    assert [complaint for complaint in complaints if "404" not in complaint] == []
    complaints.clear()
    await recovery.finish(runs[0], results=RESULTS)
    await expect(dialog.get_by_role("heading")).to_have_text("The run completed")
    await expect(dialog).to_contain_text(re.compile(r"Found\s*18\s*Completed\s*12\s*Failed\s*2\s*Still processing\s*3"))
    await expect(dialog).to_contain_text("1.2 s")
    await _keep(page, "dialog-result")
    await dialog.get_by_role("button", name="Close").click()
    await expect(_run(page, "Manual by admin")).to_contain_text("completed")
    await expect(page.locator("[data-dialog]")).to_be_hidden()


async def test_trigger_now_while_a_run_is_active_leads_to_it(chrome: Browser, address: str, factory: Factory) -> None:
    run = await factory.run(status="running", started_seconds_ago=5)
    page = await _open(chrome, address)
    await page.get_by_role("button", name="Trigger Now").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Run now").click()
    await expect(dialog).to_contain_text("A run is already active")
    assert [complaint for complaint in complaints if "409" not in complaint] == []
    complaints.clear()
    await dialog.get_by_role("link", name="Show run").click()
    await page.wait_for_url(f"**/admin/cron-jobs/{run}")


async def test_cancelling_the_dialog_triggers_nothing(
    chrome: Browser, address: str, factory: Factory, transactions: Transactions
) -> None:
    page = await _open(chrome, address)
    await page.get_by_role("button", name="Trigger Now").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("[data-dialog]")).to_be_hidden()
    async with transactions.read() as reading:
        assert await reading.value("SELECT count(*) FROM ticks") == 0


async def test_refresh_brings_new_runs_without_a_new_page(chrome: Browser, address: str, factory: Factory) -> None:
    page = await _open(chrome, address)
    await page.evaluate("window.samePage = true")
    await expect(page.get_by_text("No runs yet")).to_be_visible()
    await factory.run()
    await page.get_by_role("link", name="Refresh").click()
    await expect(_run(page, "completed")).to_be_visible()
    assert await page.evaluate("window.samePage") is True


async def test_the_interval_is_remembered_and_can_be_paused(chrome: Browser, address: str, factory: Factory) -> None:
    page = await _open(chrome, address)
    interval = page.get_by_label("Auto-refresh")
    await expect(interval).to_have_value("60")
    await interval.select_option("10")
    await page.get_by_role("button", name="Pause").click()
    await page.reload()
    await expect(interval).to_have_value("10")
    await expect(page.get_by_role("button", name="Resume")).to_have_attribute("aria-pressed", "true")


async def test_the_page_refreshes_itself(chrome: Browser, address: str, factory: Factory) -> None:
    page = await _open(chrome, address)
    await page.clock.install()
    await page.reload()
    await factory.run()
    await page.clock.run_for(61_000)
    await expect(_run(page, "completed")).to_be_visible()


async def test_a_run_shows_its_tasks_and_reasons(
    chrome: Browser, address: str, factory: Factory, transactions: Transactions
) -> None:
    run = await factory.run(results=RESULTS)
    await some_tasks(transactions, run)
    page = await _open(chrome, address, **_DESKTOP)
    await _run(page, "completed").get_by_role("link").click()
    await expect(page.get_by_role("row").filter(has_text="The prompt was refused.")).to_contain_text("kie-market")
    await _keep(page, "run", whole=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", ["desktop", "phone"])
async def test_fifty_runs_fit_every_screen(
    chrome: Browser, address: str, transactions: Transactions, factory: Factory, scheme: str, device: str
) -> None:
    runs = await fifty_runs(transactions)
    await some_tasks(transactions, runs[3])
    options = {"desktop": _DESKTOP, "phone": _PHONE}[device]
    page = await _open(chrome, address, color_scheme=scheme, **options)
    await expect(page.locator("tbody.run")).to_have_count(50)
    background = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 200) == (scheme == "dark")
    assert not await _overflows(page)
    await _keep(page, f"runs-{scheme}-{device}")
    await page.get_by_role("button", name="Trigger Now").click()
    await expect(page.get_by_role("dialog")).to_be_in_viewport(ratio=1)
    await _keep(page, f"dialog-{scheme}-{device}")
    await page.goto(f"/admin/cron-jobs/{runs[3]}")
    assert not await _overflows(page)
    await _keep(page, f"run-{scheme}-{device}", whole=True)
