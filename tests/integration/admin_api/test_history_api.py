"""Reading the history: exact shapes, statistics over all runs, pages that neither repeat nor leave out a run."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from backstop_admin_api.application.summarize_runs import SummarizeRuns
from backstop_common.database import Transactions
from tests.support.admin_api import AS_ADMIN
from tests.support.factories import JOB, Factory

RUNS = "/api/admin/cron-jobs"


async def _get(client: httpx.AsyncClient, path: str, **params: object) -> Any:
    answer = await client.get(path, params=params, headers=AS_ADMIN)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_run_has_the_shape_of_the_contract(client: httpx.AsyncClient, factory: Factory) -> None:
    results = {"completed": 4, "failed": 1, "stillProcessing": 2, "errors": 1, "totalFound": 8}
    run = await factory.run(results=results, duration_ms=1500, status="failed", error_message="no storage")
    body = await _get(client, RUNS)
    (execution,) = body["executions"]
    assert execution["id"] == str(run)
    assert execution["startedAt"].endswith("Z")
    assert {
        name: execution[name]
        for name in ("jobName", "duration", "status", "results", "errorMessage", "trigger", "actor")
    } == {
        "jobName": JOB,
        "duration": 1500,
        "status": "failed",
        "results": results,
        "errorMessage": "no storage",
        "trigger": "schedule",
        "actor": None,
    }
    assert {"completedAt", "createdAt", "scheduledFor"} <= set(execution)
    assert body["nextCursor"] is None
    assert await _get(client, f"{RUNS}/{run}") == {**execution, "report": None}


async def test_a_running_run_has_no_end_and_zero_counts(client: httpx.AsyncClient, factory: Factory) -> None:
    run = await factory.run(status="running", results={})
    execution = await _get(client, f"{RUNS}/{run}")
    assert (execution["completedAt"], execution["duration"]) == (None, None)
    assert set(execution["results"].values()) == {0}


async def test_statistics_cover_every_run_and_not_the_page(client: httpx.AsyncClient, factory: Factory) -> None:
    for _ in range(3):
        await factory.run(results={"completed": 2, "failed": 1, "errors": 1, "totalFound": 4}, duration_ms=1000)
    await factory.run(status="failed", duration_ms=5000)
    await factory.run(status="running", results={"completed": 1, "totalFound": 2})
    await factory.run(status="skipped", duration_ms=0)
    await factory.run(status="missed", duration_ms=0)
    stats = (await _get(client, RUNS, limit=1))["stats"]
    assert stats == {
        "totalExecutions": 5,
        "successRate": 75.0,
        "avgDuration": 2000,
        "totalTasksRecovered": 7,
        "totalTasksFailed": 3,
        "errorRate": 21.43,
    }


async def test_statistics_of_an_empty_history_are_zeros(client: httpx.AsyncClient) -> None:
    body = await _get(client, RUNS)
    assert body["executions"] == []
    assert set(body["stats"].values()) == {0}


async def test_pages_neither_repeat_nor_leave_out_a_run(
    client: httpx.AsyncClient, factory: Factory, transactions: Transactions
) -> None:
    runs = {str(await factory.run(started_seconds_ago=60 * n)) for n in range(23)}
    async with transactions.begin() as tx:
        await tx.execute("UPDATE cron_job_executions SET started_at = date_trunc('hour', started_at)")
    seen: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        body = await _get(client, RUNS, limit=5, **cursor)
        seen += body["executions"]
        await factory.run(started_seconds_ago=0)
        if body["nextCursor"] is None:
            break
        cursor = {"cursor": body["nextCursor"]}
    assert {execution["id"] for execution in seen} == runs
    assert len(seen) == len(runs)
    assert [e["startedAt"] for e in seen] == sorted((e["startedAt"] for e in seen), reverse=True)


async def test_runs_are_filtered_by_job_and_status(client: httpx.AsyncClient, factory: Factory) -> None:
    failed = await factory.run(status="failed")
    await factory.run()
    await factory.run(job="audit", status="failed")
    body = await _get(client, RUNS, jobName=JOB, status="failed")
    assert [execution["id"] for execution in body["executions"]] == [str(failed)]
    assert body["stats"]["totalExecutions"] == 2


async def test_answers_of_the_history_are_not_stored(client: httpx.AsyncClient, factory: Factory) -> None:
    run = await factory.run()
    for path in (RUNS, f"{RUNS}/{run}", f"{RUNS}/{run}/tasks", "/api/admin/jobs"):
        answer = await client.get(path, headers=AS_ADMIN)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"status": "done"}, "status"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "MDAwMS0wMS0wMVQwMDowMDowMCsxNDowMHww"}, "cursor"),
        ({"jobName": "a\x00"}, "jobName"),
    ],
)
async def test_a_wrong_parameter_is_refused_by_name(
    client: httpx.AsyncClient, params: dict[str, object], field: str
) -> None:
    answer = await client.get(RUNS, params=params, headers=AS_ADMIN)  # type: ignore[arg-type]
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize("suffix", ["", "/tasks"])
async def test_a_run_that_is_not_there_is_a_404(client: httpx.AsyncClient, suffix: str) -> None:
    answer = await client.get(f"{RUNS}/{uuid4()}{suffix}", headers=AS_ADMIN)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def _event(transactions: Transactions, task: UUID, run: UUID | None, **event: object) -> None:
    async with transactions.begin() as tx:
        await tx.execute(
            "INSERT INTO task_events (task_id, run_id, kind, verdict, outcome, detail)"
            " VALUES (:task, :run, :kind, :verdict, :outcome, CAST(:detail AS jsonb))",
            task=task,
            run=run,
            kind=event.get("kind", "checked"),
            verdict=event.get("verdict"),
            outcome=event.get("outcome"),
            detail=json.dumps(event.get("detail", {})),
        )


async def test_a_runs_tasks_have_one_line_each_with_the_last_word(
    client: httpx.AsyncClient, factory: Factory, transactions: Transactions
) -> None:
    run, other = await factory.run(), await factory.run()
    done, slow = await factory.task(), await factory.task(kind="image", provider="fal")
    await _event(transactions, done, run, verdict="processing", outcome="still_processing")
    await _event(transactions, slow, run, verdict="unknown", outcome="error", detail={"message": "no answer"})
    await _event(transactions, done, run, verdict="succeeded", outcome="completed")
    await _event(transactions, done, run, kind="settled", verdict="succeeded", outcome="completed")
    await _event(transactions, done, other, verdict="processing", outcome="still_processing")
    await _event(transactions, slow, None, kind="webhook")
    first = await _get(client, f"{RUNS}/{run}/tasks", limit=1)
    second = await _get(client, f"{RUNS}/{run}/tasks", limit=1, cursor=first["nextCursor"])
    tasks = [{**task, "at": task["at"][-1]} for task in first["tasks"] + second["tasks"]]
    assert second["nextCursor"] is None
    assert tasks == [
        {
            "taskId": str(slow),
            "provider": "fal",
            "kind": "image",
            "status": "processing",
            "stuckCause": None,
            "verdict": "unknown",
            "outcome": "error",
            "detail": {"message": "no answer"},
            "at": "Z",
        },
        {
            "taskId": str(done),
            "provider": "replicate",
            "kind": "video",
            "status": "processing",
            "stuckCause": None,
            "verdict": "succeeded",
            "outcome": "completed",
            "detail": {},
            "at": "Z",
        },
    ]


async def test_jobs_tell_schedule_slots_and_last_run(
    client: httpx.AsyncClient, factory: Factory, transactions: Transactions
) -> None:
    await factory.run(started_seconds_ago=60)
    newest = await factory.run(started_seconds_ago=30)
    async with transactions.begin() as tx:
        await tx.execute(
            "INSERT INTO ticks (id, job_name, slot, trigger, scheduled_for)"
            " VALUES (gen_random_uuid(), :job, 's', 'schedule', '2026-11-23 12:10:00Z')",
            job=JOB,
        )
    (job,) = (await _get(client, "/api/admin/jobs"))["jobs"]
    assert (job["name"], job["schedule"], job["timezone"], job["paused"]) == (JOB, "*/10 * * * *", "UTC", False)
    assert job["nextSlot"][-6:] in {f"{n}0:00Z"[-6:] for n in range(6)}
    assert job["lastSlot"] == "2026-11-23T12:10:00Z"
    assert job["lastRun"]["id"] == str(newest)


async def test_a_paused_job_tells_who_paused_it_and_has_no_next_slot(
    client: httpx.AsyncClient, factory: Factory, transactions: Transactions
) -> None:
    await factory.job()
    async with transactions.begin() as tx:
        await tx.execute("UPDATE jobs SET paused_at = now(), paused_by = 'ada', pause_note = 'provider moves house'")
    (job,) = (await _get(client, "/api/admin/jobs"))["jobs"]
    assert (job["paused"], job["pausedBy"], job["pauseNote"], job["nextSlot"]) == (
        True,
        "ada",
        "provider moves house",
        None,
    )


async def test_kept_statistics_of_a_long_history_are_the_same_and_know_of_new_runs(
    transactions: Transactions, factory: Factory
) -> None:
    for n in range(8):
        counts = {"completed": n, "failed": 1, "errors": 1, "totalFound": n + 2}
        await factory.run(results=counts, duration_ms=100 * n, started_seconds_ago=1800 * n)
    await factory.run(job="audit", started_seconds_ago=9000)
    keeping, exact = SummarizeRuns(transactions, long_history=4), SummarizeRuns(transactions)
    for job in (JOB, None):
        assert await keeping(job) == await exact(job)
    await factory.run(status="failed", duration_ms=7)
    await factory.run(status="running", results={"completed": 5, "totalFound": 9})
    for job in (JOB, "audit", "no-such-job", None):
        assert await keeping(job) == await exact(job)
