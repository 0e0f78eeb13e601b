"""The story of the product: a webhook is lost, a tick comes, and the user has the video, the credits and the mail."""

from __future__ import annotations

import hashlib
from pathlib import Path
from uuid import uuid4

from backstop_common.database import Transactions
from tests.support.factories import Factory
from tests.support.polling import eventually
from tests.support.recovery import broken_truths
from tests.support.system import running_system


async def test_a_stuck_task_is_recovered_by_the_four_services(
    tmp_path: Path, database_url: str, amqp_url: str, transactions: Transactions
) -> None:
    every_second = "* * * * * *"
    async with running_system(tmp_path, database_url, amqp_url, BACKSTOP_SCHEDULE=every_second) as system:
        await system.script(
            {"provider": "replicate", "id": "good", "kind": "video", "behaviour": "succeeded"},
            {"provider": "fal", "id": "several", "kind": "image", "behaviour": "succeeded_several", "outputs": 2},
            {"provider": "kie", "id": "bad", "kind": "video", "behaviour": "failed", "message": "Prompt rejected."},
        )
        factory = Factory(transactions)
        user = await factory.user("ada", balance=100, name="Ada Lovelace", email="ada@example.com")
        good = await factory.task(user, provider="replicate", provider_task_id="good", credits=20)
        several = await factory.task(
            user,
            provider="fal",
            provider_task_id="several",
            kind="image",
            credits=6,
            metadata={"app": "fal-ai/sandbox"},
        )
        bad = await factory.task(user, provider="kie", provider_task_id="bad", credits=30)

        # Three mails: two successes, one failure.
        mails = await eventually(lambda: _mails(system.get, 3), within=40, what="the three mails")

        async with system.admin() as admin:
            history = (await admin.get("/api/admin/cron-jobs?limit=50")).json()
        recovering = [run for run in history["executions"] if run["results"]["totalFound"]]
        assert sum(run["results"]["completed"] for run in recovering) == 2
        assert sum(run["results"]["failed"] for run in recovering) == 1
        assert {run["trigger"] for run in recovering} == {"schedule"}
        assert history["stats"]["totalTasksRecovered"] == 2

        async with transactions.read() as reading:
            statuses = {row["id"]: row["status"] for row in await reading.rows("SELECT id, status FROM tasks")}
            account = await reading.row("SELECT balance, frozen_balance, total_spent FROM credit_accounts")
            assets = await reading.rows("SELECT key, sha256 FROM task_assets")
        assert statuses == {good: "completed", several: "completed", bad: "failed"}
        assert account == {"balance": 74, "frozen_balance": 0, "total_spent": 26}
        expected = {file["sha256"] for file in (await system.get("/control/files"))["files"]}
        assert {asset["sha256"] for asset in assets} == expected
        assert len(assets) == 3
        for asset in assets:
            content = (system.assets_folder / asset["key"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == asset["sha256"]
        assert {mail["envelope"]["to"][0] for mail in mails} == {"ada@example.com"}
        assert {mail["subject"] for mail in mails} >= {"🎬 Your AI Video is Ready!", "🖼️ Your AI Image is Ready!"}
        assert await broken_truths(transactions) == {}


async def _mails(get, count: int):  # type: ignore[no-untyped-def]
    mails = (await get("/control/mails"))["mails"]
    return mails if len(mails) >= count else None


async def test_the_cron_endpoint_recovers_and_answers_with_the_counts(
    tmp_path: Path, database_url: str, amqp_url: str, transactions: Transactions
) -> None:
    async with running_system(tmp_path, database_url, amqp_url) as system:
        await system.script({"provider": "replicate", "id": "one", "kind": "image", "behaviour": "succeeded"})
        await Factory(transactions).task(provider="replicate", provider_task_id="one", kind="image")
        async with system.admin() as client:
            refused = await client.get("/api/cron/process-stuck-tasks", headers={"Authorization": f"Bearer {uuid4()}"})
            answer = await client.post(
                "/api/cron/process-stuck-tasks?wait=25",
                headers={"Authorization": f"Bearer {system.environ['CRON_SECRET']}"},
            )
        assert refused.status_code == 401
        assert answer.status_code == 200
        body = answer.json()
        assert body["success"] is True
        assert body["results"] == {"completed": 1, "failed": 0, "stillProcessing": 0, "errors": 0}
        assert body["totalFound"] == 1


async def test_every_service_ends_with_zero_when_told_to_stop(tmp_path: Path, database_url: str, amqp_url: str) -> None:
    async with running_system(tmp_path, database_url, amqp_url) as system:
        codes = {name: process.stop() for name, process in system.processes.items()}
    assert codes == dict.fromkeys(codes, 0)
    assert "Traceback" not in system.outputs()
