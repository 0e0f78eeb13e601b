"""The story of a webhook that arrives: the task is finished at once, before any run, and nothing happens twice."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from backstop_common.database import Transactions
from tests.support.intake import App, app_with_key, balances, count
from tests.support.polling import eventually
from tests.support.recovery import broken_truths
from tests.support.signing import STANDARD_SECRET, FalSigner, standard_headers
from tests.support.system import System, running_system

# The private half of what the sandbox publishes: RFC 8037, appendix A.
_KEY_OF_THE_SANDBOX = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")


async def test_webhooks_finish_tasks_without_any_run(
    tmp_path: Path, database_url: str, amqp_url: str, transactions: Transactions
) -> None:
    secrets = {
        "REPLICATE_WEBHOOK_SECRET": STANDARD_SECRET,
        "BACKSTOP_WEBHOOK_SECRET": "webhook-secret-of-the-tests-0123456789abcdef",
    }
    async with (
        running_system(tmp_path, database_url, amqp_url, **secrets) as system,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{system.environ['BACKSTOP_PORT']}", trust_env=False) as client,
    ):
        await system.script(
            {"provider": "replicate", "id": "signed", "kind": "video", "behaviour": "succeeded"},
            {"provider": "kie", "id": "unsigned", "kind": "image", "behaviour": "failed", "message": "Rejected."},
            {"provider": "fal", "id": "by-key", "kind": "image", "behaviour": "succeeded"},
            {"provider": "replicate", "id": "lied-about", "kind": "video", "behaviour": "processing"},
        )
        app = await app_with_key(client, transactions)
        await app.with_credits(100)

        signed = await _registered(app, provider="replicate", providerTaskId="signed", credits=10)
        answers = [await _by_replicate(client, signed["webhookUrl"], "signed") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [202, 200, 200]
        await _ends(app, signed, "completed")

        # KIE without a key signs nothing: the task is registered first, then submitted with its own address.
        task = {"provider": "kie", "kind": "image", "credits": 20}
        unsigned = await _registered(app, **task, providerTaskId=None)
        await app.send({**_body(unsigned), **task, "billing": "hold", "providerTaskId": "unsigned"})
        assert (await client.post(unsigned["webhookUrl"], json={"data": {"state": "success"}})).status_code == 202
        await _ends(app, unsigned, "failed")

        by_key = await _registered(
            app, provider="fal", kind="image", providerTaskId="by-key", credits=6, metadata={"app": "fal-ai/sandbox"}
        )
        await eventually(lambda: _by_fal(client, by_key["webhookUrl"]), within=30, what="the keys to be there")
        await _ends(app, by_key, "completed")

        # What a webhook claims is not believed: the provider says that this one goes on.
        lied = await _registered(app, provider="replicate", providerTaskId="lied-about", credits=30)
        assert (await _by_replicate(client, lied["webhookUrl"], "lied-about")).status_code == 202
        await eventually(lambda: _was_checked(app, lied), within=30, what="the check of the task that goes on")
        assert (await app.read(lied["id"])).json()["status"] == "processing"

        mails = await eventually(lambda: _mails(system, 3), within=30, what="the three mails")
        assert len(mails) == 3
        assert await count(transactions, "cron_job_executions") == 0
        assert await balances(transactions) == (84, 30)
        kinds = [event["kind"] for event in (await app.read(signed["id"])).json()["timeline"]]
        assert kinds[:3] == ["registered", "webhook", "check_requested"]
        assert kinds.count("check_requested") == 1
        assert await broken_truths(transactions) == {}


async def _registered(app: App, **changes: Any) -> dict[str, Any]:
    answer = await app.register(**changes)
    assert answer.status_code == 201
    task: dict[str, Any] = answer.json()
    return task


def _body(task: dict[str, Any], names: Iterable[str] = ("id", "userId")) -> dict[str, Any]:
    return {name: task[name] for name in names}


async def _by_replicate(client: httpx.AsyncClient, url: str, task: str) -> httpx.Response:
    body = json.dumps({"id": task, "status": "succeeded", "output": "https://files.example/lie.mp4"}).encode()
    return await client.post(url, content=body, headers=standard_headers(body, identity=f"msg_{task}"))


async def _by_fal(client: httpx.AsyncClient, url: str) -> bool:
    signer = FalSigner(Ed25519PrivateKey.from_private_bytes(_KEY_OF_THE_SANDBOX))
    body = b'{"request_id": "by-key", "status": "OK"}'
    answer = await client.post(url, content=body, headers=signer.headers(body, moment=int(time.time())))
    assert answer.status_code in {202, 503}
    return answer.status_code == 202


async def _ends(app: App, task: dict[str, Any], status: str) -> None:
    async def has_ended() -> bool:
        return bool((await app.read(task["id"])).json()["status"] == status)

    await eventually(has_ended, within=30, what=f"{task['provider']} {status}")


async def _was_checked(app: App, task: dict[str, Any]) -> bool:
    return bool((await app.read(task["id"])).json()["checkCount"])


async def _mails(system: System, wanted: int) -> list[Any] | None:
    mails: list[Any] = (await system.get("/control/mails"))["mails"]
    return mails if len(mails) >= wanted else None
