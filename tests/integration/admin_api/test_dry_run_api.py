"""Dry runs over HTTP: asked for, in nobody's way, reported in full, and in no statistics."""

from __future__ import annotations

import asyncio
import re
from uuid import UUID, uuid4

import httpx
import pytest

from backstop_common.database import Transactions
from tests.support.admin_api import AS_ADMIN, AS_CRON, PlayedRecovery
from tests.support.believable_dry_runs import COUNTS, dry_run
from tests.support.factories import JOB, Factory
from tests.support.polling import eventually

TRIGGER = "/api/admin/trigger-cron"
RUNS = "/api/admin/cron-jobs"
DRY = {"dryRun": True}


@pytest.fixture(autouse=True)
async def job(factory: Factory) -> None:
    """The scheduler has registered the job."""


async def _get(client: httpx.AsyncClient, path: str, **query: object) -> dict[str, object]:
    answer = await client.get(path, headers=AS_ADMIN, params={name: str(value) for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    body: dict[str, object] = answer.json()
    return body


async def _mark_dry(transactions: Transactions) -> None:
    async with transactions.begin() as tx:
        await tx.execute("UPDATE cron_job_executions SET dry_run = true")


async def test_a_dry_run_is_a_tick_that_says_so_and_is_audited(
    client: httpx.AsyncClient, transactions: Transactions
) -> None:
    answer = await client.post(TRIGGER, headers=AS_ADMIN, json=DRY)
    assert answer.status_code == 202
    async with transactions.read() as reading:
        tick = await reading.row("SELECT job_name, trigger, dry_run FROM ticks")
        due = await reading.value("SELECT CAST(body AS jsonb) -> 'dry_run' FROM outbox WHERE type = 'tick.due'")
        detail = await reading.value("SELECT detail FROM audit_log")
    assert dict(tick or {}) == {"job_name": JOB, "trigger": "manual", "dry_run": True}
    assert due is True
    assert detail == {"jobName": JOB, "via": "api", "dryRun": True}


async def test_a_trigger_without_the_wish_is_no_dry_run(client: httpx.AsyncClient, transactions: Transactions) -> None:
    await client.post(TRIGGER, headers=AS_ADMIN, json={"jobName": JOB})
    async with transactions.read() as reading:
        assert await reading.value("SELECT dry_run FROM ticks") is False


@pytest.mark.parametrize("body", [{"dryrun": True}, {"dry_run_": True}, {"dryRun": "perhaps"}])
async def test_a_wish_that_is_misspelt_starts_nothing(
    client: httpx.AsyncClient, transactions: Transactions, body: dict[str, object]
) -> None:
    answer = await client.post(TRIGGER, headers=AS_ADMIN, json=body)
    assert answer.status_code == 422
    async with transactions.read() as reading:
        assert await reading.value("SELECT count(*) FROM ticks") == 0


@pytest.mark.parametrize("first_is_dry", [True, False])
async def test_dry_runs_and_others_are_not_in_each_others_way(
    client: httpx.AsyncClient, recovery: PlayedRecovery, *, first_is_dry: bool
) -> None:
    first = await client.post(TRIGGER, headers=AS_ADMIN, json={"dryRun": first_is_dry})
    await recovery.start_pending()
    second = await client.post(TRIGGER, headers=AS_ADMIN, json={"dryRun": not first_is_dry})
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["executionId"] != second.json()["executionId"]


@pytest.mark.parametrize("started", [True, False], ids=["running", "about to start"])
async def test_an_active_dry_run_refuses_a_second_one_and_names_itself(
    client: httpx.AsyncClient, recovery: PlayedRecovery, *, started: bool
) -> None:
    first = await client.post(TRIGGER, headers=AS_ADMIN, json=DRY)
    if started:
        await recovery.start_pending()
    second = await client.post(TRIGGER, headers=AS_ADMIN, json=DRY)
    assert second.status_code == 409
    assert second.json()["executionId"] == first.json()["executionId"]
    assert "dry run" in second.json()["detail"]


async def test_a_double_click_is_one_dry_run_and_the_same_key_for_a_run_is_a_run(
    client: httpx.AsyncClient, transactions: Transactions, recovery: PlayedRecovery
) -> None:
    headers = {**AS_ADMIN, "Idempotency-Key": "click-1"}
    answers = await asyncio.gather(*(client.post(TRIGGER, headers=headers, json=DRY) for _ in range(2)))
    await recovery.start_pending()
    answers.append(await client.post(TRIGGER, headers=headers, json=DRY))
    real = await client.post(TRIGGER, headers=headers)
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["executionId"] for answer in answers}) == 1
    assert real.json()["executionId"] != answers[0].json()["executionId"]
    async with transactions.read() as reading:
        assert await reading.value("SELECT count(*) FROM ticks WHERE dry_run") == 1


async def test_the_cron_endpoint_has_no_dry_run(client: httpx.AsyncClient, transactions: Transactions) -> None:
    path = "/api/cron/process-stuck-tasks"
    await client.post(path, headers=AS_CRON, json=DRY, params={"dryRun": "true"})
    async with transactions.read() as reading:
        assert await reading.value("SELECT dry_run FROM ticks") is False


async def test_the_report_adds_up_by_provider_and_outcome(
    client: httpx.AsyncClient, transactions: Transactions
) -> None:
    run = await dry_run(transactions, times=2, would_stop=True)
    body = await _get(client, f"{RUNS}/{run}")
    assert body["dryRun"] is True
    assert body["results"] == {name: 2 * count for name, count in COUNTS.items()}
    report = body["report"]
    assert isinstance(report, dict)
    lines = {(line["provider"], line["outcome"]): line for line in report.pop("lines")}
    assert lines["replicate", "completed"] == {
        "provider": "replicate",
        "outcome": "completed",
        "tasks": 4,
        "creditsCharged": 24,
        "creditsReturned": 0,
    }
    assert (lines["fal", "expired"]["creditsReturned"], len(lines)) == (50, 7)
    assert report == {
        "tasks": 16,
        "endings": 6,
        "creditsCharged": 30,
        "creditsReturned": 90,
        "blastRadius": {"limitPercent": 30, "minFailed": 5, "wouldStop": True, "isHeld": False},
    }


async def test_the_report_of_a_dry_run_that_has_just_begun_is_empty(
    client: httpx.AsyncClient, recovery: PlayedRecovery
) -> None:
    await client.post(TRIGGER, headers=AS_ADMIN, json=DRY)
    (run,) = await recovery.start_pending()
    body = await _get(client, f"{RUNS}/{run}")
    assert body["report"] == {
        "tasks": 0,
        "endings": 0,
        "creditsCharged": 0,
        "creditsReturned": 0,
        "lines": [],
        "blastRadius": None,
    }


async def test_its_tasks_are_paged_like_those_of_any_run(client: httpx.AsyncClient, transactions: Transactions) -> None:
    run = await dry_run(transactions)
    seen: list[tuple[str, str, dict[str, object]]] = []
    cursor = "0"
    for _ in range(3):
        page = await _get(client, f"{RUNS}/{run}/tasks", limit=3, cursor=cursor)
        assert isinstance(page["tasks"], list)
        seen += [(task["provider"], task["outcome"], task["detail"]) for task in page["tasks"]]
        cursor = str(page["nextCursor"])
    assert cursor == "None"
    assert seen[0] == (
        "replicate",
        "completed",
        {"message": "1 file, not fetched", "settlement": "charge", "credits": 12},
    )
    assert [outcome for _, outcome, _ in seen] == [
        "completed",
        "completed",
        "failed",
        "still_processing",
        "error",
        "expired",
        "timed_out",
        "completed",
    ]
    assert seen[3][2] == {"message": "the provider says 'IN_QUEUE'"}


async def test_dry_runs_are_in_the_list_and_in_no_statistics(
    client: httpx.AsyncClient, factory: Factory, transactions: Transactions
) -> None:
    await factory.run(status="failed", results={"completed": 50, "failed": 9, "errors": 9, "totalFound": 70})
    await _mark_dry(transactions)
    await factory.run(results={"completed": 1, "totalFound": 1}, started_seconds_ago=1200)
    body = await _get(client, RUNS)
    assert isinstance(body["executions"], list)
    assert [run["dryRun"] for run in body["executions"]] == [True, False]
    assert body["stats"] == {
        "totalExecutions": 1,
        "successRate": 100.0,
        "avgDuration": 1500,
        "totalTasksRecovered": 1,
        "totalTasksFailed": 0,
        "errorRate": 0.0,
    }
    jobs = await _get(client, "/api/admin/jobs")
    assert isinstance(jobs["jobs"], list)
    assert jobs["jobs"][0]["lastRun"]["dryRun"] is False


@pytest.mark.parametrize("wanted", [True, False])
async def test_the_list_can_be_filtered(client: httpx.AsyncClient, transactions: Transactions, *, wanted: bool) -> None:
    await dry_run(transactions)
    await Factory(transactions).run()
    body = await _get(client, RUNS, dryRun=str(wanted).lower())
    assert isinstance(body["executions"], list)
    assert [run["dryRun"] for run in body["executions"]] == [wanted]


async def test_a_trigger_that_waits_is_told_that_nothing_was_changed(
    client: httpx.AsyncClient, recovery: PlayedRecovery
) -> None:
    waiting = asyncio.create_task(client.post(TRIGGER, params={"wait": 20}, headers=AS_ADMIN, json=DRY))

    async def work_off() -> list[UUID]:
        return await recovery.work_off(results={"completed": 2, "totalFound": 2})

    _: list[UUID] = await eventually(work_off)
    assert (await waiting).json()["message"] == "The dry run completed; nothing was changed."


async def test_the_wish_and_the_report_are_documented(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    assert "without doing any of it" in schemas["TriggerRequest"]["properties"]["dryRun"]["description"]
    assert {"lines", "creditsCharged", "creditsReturned", "endings"} <= set(schemas["Report"]["properties"])


async def test_the_page_says_that_nothing_was_changed_and_shows_the_report(
    browser: httpx.AsyncClient, transactions: Transactions
) -> None:
    run = await dry_run(transactions, would_stop=True)
    html = (await browser.get(f"/admin/cron-jobs/{run}")).text
    assert "Dry run: nothing was changed." in html
    assert "This would stop." in html
    assert "4 endings without a file" not in html
    assert "3 endings without a file" in html
    assert "12 charged" in html
    assert "10 released" in html
    assert "The prompt was refused." in html
    assert "dry run</span>" in (await browser.get("/admin/cron-jobs")).text


async def test_the_page_has_a_dry_run_without_scripts(
    browser: httpx.AsyncClient, recovery: PlayedRecovery, transactions: Transactions
) -> None:
    html = (await browser.get("/admin/cron-jobs")).text
    assert '<noscript><button name="dryRun" value="true">Dry run</button></noscript>' in html
    token = re.search(r'name="csrf_token" value="([^"]*)"', html)
    assert token is not None
    form = {"csrf_token": token[1], "jobName": JOB, "key": uuid4().hex, "dryRun": "true"}
    answer = await browser.post("/admin/cron-jobs/trigger", data=form)
    assert answer.status_code == 303
    async with transactions.read() as reading:
        assert await reading.value("SELECT dry_run FROM ticks") is True
