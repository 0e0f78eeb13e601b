"""A dry run as a person meets it: asked for in the dialog, told from a run at a glance, its report readable anywhere.

With `BACKSTOP_SCREENSHOTS=DIRECTORY` the pages are kept as pictures.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from playwright.async_api import Browser, Page, expect

from backstop_common.database import Transactions
from tests.support.admin_api import ADMIN_TOKEN, PlayedRecovery
from tests.support.believable import fifty_runs
from tests.support.believable_dry_runs import COUNTS, dry_run
from tests.support.factories import Factory
from tests.support.polling import eventually

_PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True}
_DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 860}}


async def _open(chrome: Browser, address: str, **options: Any) -> Page:
    context = await chrome.new_context(base_url=address, locale="en-GB", timezone_id="Europe/Berlin", **options)
    page = await context.new_page()
    page.set_default_timeout(10_000)
    await page.goto("/admin/cron-jobs")
    await page.get_by_label("Admin token").fill(ADMIN_TOKEN)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url("**/admin/cron-jobs")
    return page


async def _keep(page: Page, name: str, *, whole: bool = False) -> None:
    folder = os.environ.get("BACKSTOP_SCREENSHOTS")
    if folder:
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=whole)


async def test_the_dialog_starts_a_dry_run_and_shows_what_a_run_would_do(
    chrome: Browser, address: str, factory: Factory, recovery: PlayedRecovery, transactions: Transactions
) -> None:
    page = await _open(chrome, address, **_DESKTOP)
    await expect(page.get_by_role("button", name="Dry run")).to_have_count(0)
    await page.get_by_role("button", name="Trigger Now").click()
    dialog = page.get_by_role("dialog")
    await _keep(page, "dry-dialog")
    await dialog.get_by_role("button", name="Dry run").click()
    await expect(dialog).to_contain_text("Asking…")
    runs: list[UUID] = await eventually(recovery.start_pending)
    async with transactions.read() as reading:
        assert await reading.value("SELECT dry_run FROM cron_job_executions WHERE id = :id", id=runs[0]) is True
    await recovery.finish(runs[0], results=COUNTS)
    await expect(dialog.get_by_role("heading")).to_have_text("The dry run completed")
    await expect(dialog).to_contain_text("Nothing was changed.")
    await expect(dialog).to_contain_text(re.compile(r"Found\s*8\s*Completed\s*3\s*Failed\s*3"))
    await _keep(page, "dry-result")
    await dialog.get_by_role("link", name="Show run").click()
    await page.wait_for_url(f"**/admin/cron-jobs/{runs[0]}")
    await expect(page.get_by_text("Dry run: nothing was changed.")).to_be_visible()


async def test_an_active_dry_run_is_named_as_one(chrome: Browser, address: str, factory: Factory) -> None:
    run = await dry_run(factory.transactions, status="running", started_seconds_ago=5)
    page = await _open(chrome, address)
    await page.get_by_role("button", name="Trigger Now").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Dry run").click()
    await expect(dialog).to_contain_text("A dry run is already active")
    await expect(dialog.get_by_role("link", name="Show run")).to_have_attribute("href", f"/admin/cron-jobs/{run}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", ["desktop", "phone"])
async def test_the_report_fits_every_screen(
    chrome: Browser, address: str, transactions: Transactions, factory: Factory, scheme: str, device: str
) -> None:
    await fifty_runs(transactions, running=False)
    run = await dry_run(transactions, times=3, would_stop=True, started_seconds_ago=4)
    page = await _open(chrome, address, color_scheme=scheme, **{"desktop": _DESKTOP, "phone": _PHONE}[device])
    await expect(page.locator("tbody.run").first).to_contain_text("dry run")
    await _keep(page, f"dry-runs-{scheme}-{device}")
    await page.goto(f"/admin/cron-jobs/{run}")
    await expect(page.get_by_text("This would stop.")).to_be_visible()
    await expect(page.get_by_role("row").filter(has_text="All providers")).to_contain_text("9 endings without a file")
    assert not await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    await _keep(page, f"dry-run-{scheme}-{device}", whole=True)
