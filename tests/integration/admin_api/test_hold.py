"""A hold on failures is shown with what it holds, and decided once, by somebody, for a reason."""

from __future__ import annotations

import asyncio
import json
import re
from uuid import uuid4

import httpx
import pytest

from backstop_common.database import Transactions
from tests.support.admin_api import AS_ADMIN
from tests.support.factories import JOB, Factory
from tests.support.holds import lift, open_hold

HOLD = f"/api/admin/jobs/{JOB}/hold"
PAGE = "/admin/cron-jobs"
WHY = {"note": "the provider confirmed it"}


@pytest.fixture(autouse=True)
async def job(factory: Factory) -> None:
    """The scheduler has registered the job."""


async def _sent(transactions: Transactions) -> list[dict[str, object]]:
    async with transactions.read() as reading:
        rows = await reading.rows("SELECT body FROM outbox WHERE type = 'hold.lift' ORDER BY id")
    return [json.loads(row["body"]) for row in rows]


async def test_an_open_hold_tells_what_waits_by_provider_and_outcome(
    client: httpx.AsyncClient, transactions: Transactions
) -> None:
    hold = await open_hold(transactions)
    answer = await client.get(HOLD, headers=AS_ADMIN)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["id"], body["jobName"], body["tasks"], body["creditsReturned"]) == (str(hold), JOB, 4, 40)
    assert (body["failedCount"], body["checkedCount"], body["limitPercent"]) == (31, 40, 50)
    assert body["withheld"] == [
        {"provider": "fal", "outcome": "asset_lost", "tasks": 1, "creditsReturned": 10},
        {"provider": "replicate", "outcome": "failed", "tasks": 3, "creditsReturned": 30},
    ]


async def test_credits_that_would_not_go_back_are_not_summed(
    client: httpx.AsyncClient, transactions: Transactions
) -> None:
    await open_hold(transactions)
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET billing = 'on_success' WHERE provider = 'replicate'")
    assert (await client.get(HOLD, headers=AS_ADMIN)).json()["creditsReturned"] == 10


@pytest.mark.parametrize("decision", ["approve", "recheck"])
async def test_a_decision_is_told_to_recovery_and_audited(
    client: httpx.AsyncClient, transactions: Transactions, decision: str
) -> None:
    hold = await open_hold(transactions)
    answer = await client.post(f"{HOLD}/{decision}", headers=AS_ADMIN, json=WHY)
    assert (answer.status_code, answer.json()) == (202, {"holdId": str(hold), "decision": decision})
    assert await _sent(transactions) == [
        {"hold_id": str(hold), "decision": decision, "actor": "admin", "note": WHY["note"]}
    ]
    async with transactions.read() as reading:
        audit = await reading.row("SELECT actor, action, subject, detail FROM audit_log")
    assert audit is not None
    assert dict(audit) == {
        "actor": "admin",
        "action": f"hold.{decision}",
        "subject": f"hold:{hold}",
        "detail": {"jobName": JOB, "via": "api", "note": WHY["note"]},
    }


async def test_without_a_hold_there_is_nothing_to_decide(client: httpx.AsyncClient, transactions: Transactions) -> None:
    assert (await client.get(HOLD, headers=AS_ADMIN)).status_code == 404
    for decision in ("approve", "recheck"):
        assert (await client.post(f"{HOLD}/{decision}", headers=AS_ADMIN, json=WHY)).status_code == 404
    assert await _sent(transactions) == []


async def test_a_hold_that_was_lifted_is_a_409_that_says_by_whom(
    client: httpx.AsyncClient, transactions: Transactions
) -> None:
    await lift(transactions, await open_hold(transactions))
    answer = await client.post(f"{HOLD}/approve", headers=AS_ADMIN, json=WHY)
    assert answer.status_code == 409
    assert (answer.json()["decision"], answer.json()["liftedBy"]) == ("recheck", "grace")
    assert (await client.get(HOLD, headers=AS_ADMIN)).status_code == 404
    assert await _sent(transactions) == []


async def test_a_newer_hold_than_the_one_that_was_looked_at_is_not_decided(
    client: httpx.AsyncClient, transactions: Transactions
) -> None:
    seen = await open_hold(transactions)
    await lift(transactions, seen)
    newer = await open_hold(transactions)
    refused = await client.post(f"{HOLD}/approve", headers=AS_ADMIN, json={**WHY, "holdId": str(seen)})
    assert refused.status_code == 409
    taken = await client.post(f"{HOLD}/approve", headers=AS_ADMIN, json={**WHY, "holdId": str(newer)})
    assert taken.status_code == 202
    unknown = await client.post(f"{HOLD}/approve", headers=AS_ADMIN, json={**WHY, "holdId": str(uuid4())})
    assert unknown.status_code == 404


async def test_two_people_may_ask_at_once_and_both_are_in_the_audit_log(
    client: httpx.AsyncClient, transactions: Transactions
) -> None:
    hold = await open_hold(transactions)
    answers = await asyncio.gather(*(client.post(f"{HOLD}/approve", headers=AS_ADMIN, json=WHY) for _ in range(2)))
    assert [answer.status_code for answer in answers] == [202, 202]
    assert {sent["hold_id"] for sent in await _sent(transactions)} == {str(hold)}
    async with transactions.read() as reading:
        assert await reading.value("SELECT count(*) FROM audit_log") == 2


@pytest.mark.parametrize(
    "body", [None, {}, {"note": "  "}, {"note": "x" * 501}, {"note": "a\x00b"}, {"note": "ok", "holdId": "no"}]
)
async def test_a_decision_needs_its_reason(
    client: httpx.AsyncClient, transactions: Transactions, body: dict[str, str] | None
) -> None:
    await open_hold(transactions)
    assert (await client.post(f"{HOLD}/approve", headers=AS_ADMIN, json=body)).status_code == 422
    assert await _sent(transactions) == []


async def test_nobody_else_decides(client: httpx.AsyncClient, transactions: Transactions) -> None:
    await open_hold(transactions)
    assert (await client.get(HOLD)).status_code == 401
    assert (await client.post(f"{HOLD}/approve", json=WHY)).status_code == 401
    assert await _sent(transactions) == []


async def test_the_dashboard_shows_the_hold_and_leads_to_the_decision(
    browser: httpx.AsyncClient, transactions: Transactions
) -> None:
    assert "your decision" not in (await browser.get(PAGE)).text
    await open_hold(transactions)
    html = (await browser.get(PAGE)).text
    assert "4 failures wait for your decision" in html
    assert "31 of 40 checked tasks" in html
    assert "replicate: 3 failed, 30 credits back" in html
    for decision in ("approve", "recheck"):
        assert f"{PAGE}/hold/{decision}?jobName={JOB}" in html


async def test_the_decision_is_confirmed_on_a_page_without_scripts(
    browser: httpx.AsyncClient, transactions: Transactions
) -> None:
    hold = await open_hold(transactions)
    html = (await browser.get(f"{PAGE}/hold/approve", params={"jobName": JOB})).text
    assert "That cannot be taken back" in html
    form = dict(re.findall(r'name="(csrf_token|jobName|holdId)" value="([^"]*)"', html))
    await lift(transactions, hold)

    refused = await browser.post(f"{PAGE}/hold/approve", data={**form, "note": "sure"})
    assert (refused.status_code, "lifted already" in refused.text) == (409, True)

    await open_hold(transactions)
    html = (await browser.get(f"{PAGE}/hold/recheck", params={"jobName": JOB})).text
    form = dict(re.findall(r'name="(csrf_token|jobName|holdId)" value="([^"]*)"', html))
    told = await browser.post(f"{PAGE}/hold/recheck", data={**form, "note": "sure"})
    assert (told.status_code, told.headers["location"]) == (303, f"{PAGE}?jobName={JOB}&notice=recheck")
    assert "nothing was approved" in (await browser.get(told.headers["location"])).text
    assert [sent["decision"] for sent in await _sent(transactions)] == ["recheck"]


async def test_a_decision_without_the_token_of_the_session_is_refused(
    browser: httpx.AsyncClient, transactions: Transactions
) -> None:
    hold = await open_hold(transactions)
    answer = await browser.post(f"{PAGE}/hold/approve", data={"note": "sure", "holdId": str(hold), "jobName": JOB})
    assert answer.status_code == 403
    assert await _sent(transactions) == []


async def test_a_run_that_withheld_failures_says_so(browser: httpx.AsyncClient, factory: Factory) -> None:
    run = await factory.run(results={"completed": 2, "stillProcessing": 3, "totalFound": 5, "withheld": 3})
    for path in (PAGE, f"{PAGE}/{run}"):
        assert "Withheld: 3 failures wait for a person" in (await browser.get(path)).text
