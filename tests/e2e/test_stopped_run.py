"""The story of a provider that suddenly says no to everybody: nobody is told and nothing is paid back unseen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from backstop_common.database import Transactions
from tests.support.factories import Factory
from tests.support.polling import eventually
from tests.support.recovery import broken_truths
from tests.support.system import running_system

HOLD = "/api/admin/jobs/process-stuck-tasks/hold"


async def _run(admin: httpx.AsyncClient, secret: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {secret}"}
    body: dict[str, Any] = (await admin.post("/api/cron/process-stuck-tasks?wait=25", headers=headers)).json()
    return body


async def test_a_run_that_would_fail_too_much_waits_for_a_person(
    tmp_path: Path, database_url: str, amqp_url: str, transactions: Transactions
) -> None:
    async with running_system(tmp_path, database_url, amqp_url, BACKSTOP_BLAST_RADIUS_MIN_FAILED="3") as system:
        secret, recovery = system.environ["CRON_SECRET"], system.environ["BACKSTOP_RECOVERY_PORT"]
        bad = [f"bad-{number}" for number in range(5)]
        scripts: list[dict[str, object]] = [
            {"provider": "replicate", "id": name, "kind": "video", "behaviour": "failed"} for name in bad
        ]
        await system.script(*scripts)
        factory = Factory(transactions)
        user = await factory.user("ada", balance=100, email="ada@example.com")
        for name in bad:
            await factory.task(user, provider="replicate", provider_task_id=name, credits=10)

        async with system.admin() as admin, httpx.AsyncClient(trust_env=False) as outside:
            stopped = await _run(admin, secret)
            assert (stopped["success"], stopped["status"]) == (False, "failed")
            assert "nothing more is failed until somebody decides" in stopped["message"]
            hold = (await admin.get(HOLD)).json()
            assert hold["tasks"] + stopped["results"]["failed"] == len(bad)
            assert stopped["results"]["failed"] < 3

            async def is_told() -> bool:
                told = (await outside.get(f"http://127.0.0.1:{recovery}/metrics")).text
                return 'backstop_failure_hold{job="process-stuck-tasks"} 1.0' in told

            _: bool = await eventually(is_told, within=40, what="the gauge of the hold")
            decision = {"note": "their status page says so", "holdId": hold["id"]}
            assert (await admin.post(f"{HOLD}/approve", json=decision)).status_code == 202

            async def is_lifted() -> bool:
                return (await admin.get(HOLD)).status_code == 404

            _ = await eventually(is_lifted, within=20, what="the hold to be lifted")
            assert (await admin.post(f"{HOLD}/approve", json=decision)).status_code == 409
            ended = await _run(admin, secret)

        assert ended["success"] is True
        assert ended["results"]["failed"] == hold["tasks"]
        async with transactions.read() as reading:
            account = await reading.row("SELECT balance, frozen_balance FROM credit_accounts")
            releases = await reading.value("SELECT count(*) FROM credit_transactions WHERE kind = 'release'")
        assert account is not None
        assert dict(account) == {"balance": 100, "frozen_balance": 0}
        assert releases == len(bad)
        assert await broken_truths(transactions) == {}
