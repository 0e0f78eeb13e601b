"""Reading a task: what became of it, where its outputs are, what moved."""

from __future__ import annotations

from uuid import uuid4

import httpx

from backstop_common.database import Transactions
from backstop_recovery.domain.verdict import Failed
from tests.support.admin_api import AS_ADMIN, admin_app, client_of
from tests.support.factories import Factory
from tests.support.intake import App
from tests.support.recovery import RecoveryUnderTest


async def _due(transactions: Transactions) -> None:
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET next_check_at = clock_timestamp() - interval '1 second'")


async def test_a_task_nobody_registered_is_a_404(app: App) -> None:
    answer = await app.read(uuid4())
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert (await app.read("1")).status_code == 422


async def test_a_recovered_task_tells_its_asset_charge_and_story(app: App, transactions: Transactions) -> None:
    await Factory(transactions).job()
    await app.with_credits(30)
    task_id = (await app.register()).json()["id"]
    await _due(transactions)
    await RecoveryUnderTest(transactions).run()
    told = (await app.read(task_id)).json()
    assert told["status"] == "completed"
    assert told["finishedAt"] is not None
    assert told["failure"] is None
    asset = told["assets"][0]
    assert asset["url"] is None
    assert asset["contentType"] == "video/mp4"
    assert (len(asset["sha256"]), asset["sizeBytes"] > 0) == (64, True)
    assert (told["settlement"]["kind"], told["settlement"]["amount"], told["settlement"]["balanceAfter"]) == (
        "charge",
        10,
        20,
    )
    assert [entry["kind"] for entry in told["entries"]] == ["hold", "charge"]
    assert [event["kind"] for event in told["timeline"]] == ["registered", "checked", "settled"]
    async with client_of(admin_app(transactions, ASSETS_PUBLIC_BASE_URL="https://cdn.example/")) as other:
        public = (await App(other, app.headers).read(task_id)).json()
    assert public["assets"][0]["url"] == f"https://cdn.example/{asset['key']}"


async def test_the_story_of_a_task_ends_with_its_mail(app: App, transactions: Transactions) -> None:
    await app.with_credits(30)
    task_id = (await app.register()).json()["id"]
    async with transactions.begin() as tx:
        await tx.execute(
            "INSERT INTO deliveries (id, key, channel, kind, recipient, task_id, payload, state, sent_at,"
            " attempt_count) VALUES (gen_random_uuid(), 'mail', 'email', 'task-completed', 'ada@example.com', :task,"
            " '{}', 'sent', clock_timestamp(), 1)",
            task=task_id,
        )
    told = (await app.read(task_id)).json()["timeline"]
    assert [(line["kind"], line["outcome"]) for line in told] == [("registered", None), ("email", "sent")]
    assert told[-1]["detail"] == {"kind": "task-completed", "attempts": 1}


async def test_a_failed_task_tells_why_and_what_came_back(app: App, transactions: Transactions) -> None:
    await Factory(transactions).job()
    await app.with_credits(30)
    told = (await app.register()).json()
    await _due(transactions)
    recovery = RecoveryUnderTest(transactions)
    recovery.providers.answers[told["providerTaskId"]] = Failed(message="the prompt was refused", code="NSFW")
    await recovery.run()
    told = (await app.read(told["id"])).json()
    assert told["status"] == "failed"
    assert told["failure"]["message"] == "the prompt was refused"
    assert (told["settlement"]["kind"], told["settlement"]["frozenAfter"]) == ("release", 0)


async def test_the_admin_token_reads_tasks_too(app: App, client: httpx.AsyncClient) -> None:
    await app.with_credits(30)
    task_id = (await app.register()).json()["id"]
    assert (await client.get(f"/api/tasks/{task_id}", headers=AS_ADMIN)).status_code == 200
