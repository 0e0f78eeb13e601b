"""The pages as a browser without scripts has them: complete, escaped, cheap to refresh."""

from __future__ import annotations

import re
from uuid import uuid4

import httpx

from backstop_common.database import Transactions
from tests.support.admin_api import PlayedRecovery
from tests.support.factories import JOB, Factory

PAGE = "/admin/cron-jobs"
FRAGMENT = "/admin/fragments/cron-jobs"


def _field(html: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', html)
    assert found is not None
    return found[1]


async def test_the_first_page_is_the_dashboard(browser: httpx.AsyncClient) -> None:
    for path in ("/", "/admin"):
        assert (await browser.get(path)).headers["location"] == PAGE


async def test_the_dashboard_shows_cards_and_columns(browser: httpx.AsyncClient, factory: Factory) -> None:
    await factory.run(results={"completed": 1234, "failed": 2, "errors": 1, "totalFound": 1237}, duration_ms=67_500)
    html = (await browser.get(PAGE)).text
    for card in ("Total Executions", "Success Rate", "Average Duration", "Tasks Recovered", "Tasks Failed"):
        assert card in html
    for column in ("Started", "Duration", "Status", "Found", "Completed", "Failed", "Processing", "Errors"):
        assert f"{column}</th>" in html
    assert "1,234" in html
    assert "1 min 08 s" in html


async def test_an_empty_history_says_what_to_do(browser: httpx.AsyncClient, factory: Factory) -> None:
    assert "press Trigger Now" in (await browser.get(PAGE)).text


async def test_an_installation_without_jobs_says_what_to_start(browser: httpx.AsyncClient) -> None:
    assert "Start the scheduler" in (await browser.get(PAGE)).text


async def test_what_others_wrote_is_escaped(browser: httpx.AsyncClient, factory: Factory) -> None:
    run = await factory.run(status="failed", error_message="<script>alert(1)</script>")
    for path in (PAGE, f"{PAGE}/{run}"):
        html = (await browser.get(path)).text
        assert "<script>alert" not in html
        assert "&lt;script&gt;alert" in html


async def test_pages_carry_no_inline_script_or_style(browser: httpx.AsyncClient, factory: Factory) -> None:
    run = await factory.run()
    for path in (PAGE, f"{PAGE}/{run}", "/admin/login"):
        html = (await browser.get(path)).text
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|https?://", html)


async def test_the_last_50_runs_are_shown_and_older_ones_are_paged(
    browser: httpx.AsyncClient, factory: Factory
) -> None:
    for n in range(53):
        await factory.run(started_seconds_ago=60 * (n + 1))
    first = (await browser.get(PAGE)).text
    assert first.count('class="run"') == 50
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older is not None
    second = (await browser.get(older[1].replace("&amp;", "&"))).text
    assert second.count('class="run"') == 3
    assert "Newest" in second


async def test_a_fragment_is_sent_again_only_when_something_changed(
    browser: httpx.AsyncClient, factory: Factory
) -> None:
    first = await browser.get(FRAGMENT)
    headers = {"If-None-Match": first.headers["etag"]}
    assert (await browser.get(FRAGMENT, headers=headers)).status_code == 304
    await factory.run()
    changed = await browser.get(FRAGMENT, headers=headers)
    assert changed.status_code == 200
    assert 'class="run"' in changed.text


async def test_trigger_now_without_scripts_leads_to_the_run(
    browser: httpx.AsyncClient, factory: Factory, recovery: PlayedRecovery
) -> None:
    html = (await browser.get(PAGE)).text
    form = {name: _field(html, name) for name in ("csrf_token", "jobName", "key")}
    answer = await browser.post(f"{PAGE}/trigger", data=form)
    assert answer.status_code == 303
    pending = await browser.get(answer.headers["location"])
    assert (pending.status_code, "Waiting for recovery" in pending.text) == (200, True)
    (run,) = await recovery.start_pending()
    assert (await browser.get(answer.headers["location"])).status_code == 200
    again = await browser.post(f"{PAGE}/trigger", data={**form, "key": uuid4().hex})
    assert again.headers["location"] == f"{PAGE}/{run}?notice=active"
    assert "active already" in (await browser.get(again.headers["location"])).text


async def test_a_form_without_the_token_of_the_session_is_refused(
    browser: httpx.AsyncClient, factory: Factory, transactions: Transactions
) -> None:
    answer = await browser.post(f"{PAGE}/trigger", data={"jobName": JOB})
    assert (answer.status_code, answer.headers["content-type"]) == (403, "text/html; charset=utf-8")
    async with transactions.read() as reading:
        assert await reading.value("SELECT count(*) FROM ticks") == 0


async def test_a_page_that_is_not_there_is_a_page(browser: httpx.AsyncClient) -> None:
    answer = await browser.get(f"{PAGE}/{uuid4()}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")


async def test_the_page_weighs_little(browser: httpx.AsyncClient, factory: Factory) -> None:
    for n in range(50):
        await factory.run(started_seconds_ago=60 * n, status="failed", error_message="the store was away " * 4)
    weight = len((await browser.get(PAGE)).content)
    weight += sum([len((await browser.get(f"/static/{name}")).content) for name in ("admin.css", "admin.js")])
    assert weight < 150_000
