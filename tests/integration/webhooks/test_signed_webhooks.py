"""Webhooks of providers that sign: each answer, and what it leaves in the database."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx
import pytest

from backstop_common.database import Transactions
from tests.support.factories import Factory
from tests.support.signing import STANDARD_KEY, FalSigner, kie_headers, standard_headers
from tests.support.webhooks import ENVIRON, KIE_KEY, Sender, counted, webhook_client

HOSTILE = {
    "nothing": b"",
    "half": b"{",
    "list": b"[]",
    "text": b'"p-1"',
    "deep": b'{"id":' + b"[" * 100_000,
    "deep and closed": b'{"id":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "long number": b'{"id":' + b"9" * 10_000 + b"}",
    "bytes": b"\xff\xfe{",
}
WITHOUT_A_TASK = {
    "no id": b"{}",
    "a list as id": b'{"id": ["p-1"]}',
    "an empty id": b'{"id": ""}',
    "a huge number": b'{"id": 1e999999}',
    "not a number": b'{"id": NaN}',
    "a long id": b'{"id": "' + b"a" * 501 + b'"}',
    "a zero byte": b'{"id": "p-1\\u0000"}',
    "half a surrogate": b'{"id": "\\ud800"}',
    "a space": b'{"id": "p 1"}',
    "a boolean": b'{"id": true}',
    "another task": b'{"id": "p-2"}',
}


async def test_a_signed_webhook_asks_for_a_check_and_stands_in_the_timeline(sender: Sender) -> None:
    answer = await sender.replicate()
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    told = await sender.told()
    assert told.webhook_at is not None
    assert told.timeline == [{"proof": "signature", "event": "succeeded"}]
    assert [(check["reason"], check["actor"]) for check in told.checks] == [("webhook", "replicate")]
    assert told.delays == [pytest.approx(0, abs=0.5)]


async def test_it_moves_nothing_by_itself(sender: Sender, transactions: Transactions) -> None:
    await sender.replicate(sender.prediction("failed"))
    async with transactions.read() as reading:
        assert await reading.value("SELECT count(*) FROM credit_transactions WHERE kind <> 'grant'") == 1
        assert await reading.value("SELECT status FROM tasks") == "processing"
        assert await reading.value("SELECT next_check_at > clock_timestamp() FROM tasks") is True


async def test_three_deliveries_are_one_check(sender: Sender) -> None:
    answers = [await sender.replicate(identity="msg_1") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 200, 200]
    told = await sender.told()
    assert (len(told.checks), len(told.timeline)) == (1, 1)


async def test_ten_deliveries_at_once_are_one_check(sender: Sender) -> None:
    answers = await asyncio.gather(*(sender.replicate(identity="msg_1") for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [202]
    assert len((await sender.told()).checks) == 1


async def test_a_flood_of_different_webhooks_is_two_checks_a_slot_apart(sender: Sender) -> None:
    """Or three, when a slot ends while they arrive."""
    answers = await asyncio.gather(*(sender.replicate() for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    told = await sender.told()
    assert 2 <= len(told.checks) <= 3
    assert len(told.timeline) == 1
    assert 0 < max(told.delays) <= 5


@pytest.mark.parametrize("status", ["starting", "processing"])
async def test_progress_is_no_reason_for_a_check(sender: Sender, status: str) -> None:
    before = counted("replicate", "still_running")
    assert (await sender.replicate(sender.prediction(status))).status_code == 202
    assert (await sender.told()).is_nothing
    assert counted("replicate", "still_running") == before + 1


@pytest.mark.parametrize("status", ["a-new-word", "canceled", 7, None])
async def test_a_word_that_nobody_knows_is_a_reason(sender: Sender, status: Any) -> None:
    assert (await sender.replicate({**sender.prediction(), "status": status})).status_code == 202
    assert len((await sender.told()).checks) == 1


@pytest.mark.parametrize("word", ["<script>", "a" * 65, "zwei Worte"])
async def test_a_word_of_any_text_is_not_kept(sender: Sender, word: str) -> None:
    await sender.replicate({**sender.prediction(), "status": word})
    assert (await sender.told()).timeline == [{"proof": "signature"}]


async def test_a_webhook_about_a_final_task_is_taken_and_nothing_happens(
    sender: Sender, transactions: Transactions
) -> None:
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET status = 'ignored', finished_at = clock_timestamp()")
    before = counted("replicate", "accepted")
    assert (await sender.replicate()).status_code == 202
    assert (await sender.told()).is_nothing
    assert counted("replicate", "accepted") == before + 1


async def test_a_task_nobody_knows_is_answered_like_one_we_know(sender: Sender) -> None:
    before = counted("replicate", "unknown_task")
    unknown = await sender.replicate({"id": "p-nobody", "status": "succeeded"})
    known = await sender.replicate()
    assert (unknown.status_code, unknown.content, unknown.headers) == (202, known.content, known.headers)
    assert counted("replicate", "unknown_task") == before + 1


async def test_the_same_webhook_counts_when_its_task_is_registered_at_last(
    client: httpx.AsyncClient, transactions: Transactions, factory: Factory
) -> None:
    late = Sender(client, transactions)
    assert (await late.replicate(identity="msg_1")).status_code == 202
    await late.make_task(factory)
    assert (await late.replicate(identity="msg_1")).status_code == 202
    assert len((await late.told()).checks) == 1


async def test_a_task_of_another_provider_with_the_same_id_is_another_task(
    sender: Sender, client: httpx.AsyncClient, factory: Factory
) -> None:
    other = Sender(client, sender.transactions)
    await other.make_task(factory, provider="kie", provider_task_id=f"p-{sender.task_id.hex}")
    await sender.replicate()
    assert (await other.told()).is_nothing


@pytest.mark.parametrize("body", WITHOUT_A_TASK.values(), ids=WITHOUT_A_TASK)
async def test_a_body_without_a_usable_id_is_about_no_task(sender: Sender, body: bytes) -> None:
    assert (await sender.replicate(body)).status_code == 202
    assert (await sender.told()).is_nothing


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
async def test_a_signed_body_that_is_no_object_is_a_problem_and_no_error_of_ours(sender: Sender, body: bytes) -> None:
    before = counted("replicate", "malformed")
    answer = await sender.replicate(body)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert counted("replicate", "malformed") == before + 1


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
async def test_an_unsigned_body_is_not_even_read(client: httpx.AsyncClient, body: bytes) -> None:
    answers = [
        await client.post("/webhooks/replicate", content=body),
        await client.post("/webhooks/kie", content=body, headers=kie_headers("t-1", key=KIE_KEY)),
    ]
    assert [answer.status_code for answer in answers] == [401, 401]


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-signature": "v1,AAAA"},
        {"webhook-id": "another"},
        {"webhook-timestamp": "1614265330"},
        {"webhook-signature": ""},
    ],
)
async def test_a_wrong_signature_is_401_and_leaves_nothing(sender: Sender, change: dict[str, str]) -> None:
    before = counted("replicate", "unverified")
    answer = await sender.replicate(changed=change)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert (await sender.told()).is_nothing
    assert counted("replicate", "unverified") == before + 1


async def test_bytes_beyond_ascii_in_a_header_are_401(client: httpx.AsyncClient) -> None:
    headers = [(b"webhook-id", b"\xff"), (b"webhook-timestamp", b"\xc3\xa9"), (b"webhook-signature", b"v1,\xff\xfe")]
    assert (await client.post("/webhooks/replicate", content=b"{}", headers=headers)).status_code == 401


async def test_an_old_webhook_is_401_although_it_is_signed(sender: Sender) -> None:
    body = json.dumps(sender.prediction()).encode()
    headers = standard_headers(body, key=STANDARD_KEY, moment=int(time.time()) - 301)
    answer = await sender.client.post("/webhooks/replicate", content=body, headers=headers)
    assert answer.status_code == 401
    assert "300 s" in answer.json()["detail"]


async def test_a_webhook_as_large_as_allowed_is_taken(sender: Sender) -> None:
    body = json.dumps({**sender.prediction(), "logs": ""}).encode()
    body = body.replace(b'"logs": ""', b'"logs": "%s"' % (b"x" * (256 * 1024 - len(body))))
    assert len(body) == 256 * 1024
    assert (await sender.replicate(body)).status_code == 202


async def test_a_larger_one_is_413_before_anything_is_verified(sender: Sender) -> None:
    before = counted("replicate", "too_large")
    answer = await sender.replicate(b"x" * (256 * 1024 + 1))
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    assert counted("replicate", "too_large") == before + 1


@pytest.mark.parametrize("path", ["/webhooks/replicate", "/webhooks/ark/some-token"])
async def test_one_that_never_ends_is_413_when_it_is_too_large(client: httpx.AsyncClient, path: str) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while sent < 100:
            sent += 1
            yield b"x" * 16_384

    assert (await client.post(path, content=endless())).status_code == 413
    assert sent < 20


@pytest.mark.parametrize("length", ["9" * 5000, "262145"])
async def test_one_that_says_it_is_larger_is_413_without_being_read(client: httpx.AsyncClient, length: str) -> None:
    request = client.build_request("POST", "/webhooks/replicate", content=b"x", headers={"content-length": length})
    assert (await client.send(request)).status_code == 413


async def test_a_sender_that_hangs_up_is_no_error_of_ours(client: httpx.AsyncClient) -> None:
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    path = "/webhooks/replicate"
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    await transport.app({**scope, "headers": [(b"content-length", b"2000")]}, receive, send)
    assert sent[0]["status"] == 400


@pytest.mark.parametrize("path", ["/webhooks/nobody", "/webhooks/nobody/token", "/webhooks/", "/webhooks/%00"])
async def test_an_unknown_provider_is_404_and_no_label(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, content=b"{}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert "nobody" not in (await client.get("/metrics")).text


@pytest.mark.parametrize("provider", ["ark", "runway"])
async def test_a_provider_that_signs_nothing_has_no_shared_address(client: httpx.AsyncClient, provider: str) -> None:
    answer = await client.post(f"/webhooks/{provider}", content=b"{}")
    assert answer.status_code == 404
    assert "webhookUrl" in answer.json()["detail"]


async def test_without_the_secret_it_is_503_and_names_the_variable(client: httpx.AsyncClient) -> None:
    answer = await client.post("/webhooks/openai_videos", content=b"{}")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "60"
    assert "OPENAI_WEBHOOK_SECRET" in answer.json()["detail"]


async def test_kie_is_heard_by_the_task_it_signs(client: httpx.AsyncClient, factory: Factory) -> None:
    sender = Sender(client, factory.transactions)
    await sender.make_task(factory, provider="kie", provider_task_id="k-1")
    body = {"code": 200, "data": {"task_id": "k-1", "state": "success"}}
    answer = await client.post("/webhooks/kie", json=body, headers=kie_headers("k-1", key=KIE_KEY))
    assert answer.status_code == 202
    again = await client.post("/webhooks/kie", json=body, headers=kie_headers("k-1", key=KIE_KEY))
    assert again.status_code == 200
    assert (await sender.told()).timeline == [{"proof": "signature", "event": "success"}]


async def test_fal_has_to_wait_until_its_keys_are_fetched(client: httpx.AsyncClient, factory: Factory) -> None:
    fal, sender = FalSigner(), Sender(client, factory.transactions)
    await sender.make_task(factory, provider="fal", provider_task_id="f-1", metadata={"app": "fal-ai/flux"})
    body = b'{"request_id": "f-1", "status": "OK", "payload": {}}'

    async def send() -> httpx.Response:
        return await client.post("/webhooks/fal", content=body, headers=fal.headers(body))

    early = await send()
    assert (early.status_code, early.headers["retry-after"]) == (503, "60")
    async with factory.transactions.begin() as tx:
        await tx.execute(
            "INSERT INTO webhook_keys (provider, key_id, jwk, fetched_at)"
            " VALUES ('fal', 'k-1', CAST(:jwk AS jsonb), clock_timestamp())",
            jwk=json.dumps(fal.jwk),
        )
    assert [(await send()).status_code for _ in range(2)] == [202, 200]
    assert len((await sender.told()).checks) == 1
    forged = await client.post("/webhooks/fal", content=body, headers=FalSigner().headers(body))
    assert forged.status_code == 401


async def test_two_secrets_are_good_while_one_replaces_the_other(transactions: Transactions, factory: Factory) -> None:
    new = "whsec_bmV3LWtleS1vZi10aGlydHktYnl0ZXMtb3ItbW9yZQ=="
    environ = {"REPLICATE_WEBHOOK_SECRET": f"{ENVIRON['REPLICATE_WEBHOOK_SECRET']} {new}"}
    async with webhook_client(transactions, environ) as client:
        sender = Sender(client, transactions)
        await sender.make_task(factory)
        assert (await sender.replicate()).status_code == 202
        body = json.dumps(sender.prediction()).encode()
        headers = standard_headers(body, key=b"new-key-of-thirty-bytes-or-more", identity="new")
        assert (await client.post("/webhooks/replicate", content=body, headers=headers)).status_code == 202


async def test_two_signature_headers_are_read_as_one_list(sender: Sender) -> None:
    body = json.dumps(sender.prediction()).encode()
    signed = standard_headers(body)
    headers = [*signed.items(), ("webhook-signature", "v1,AAAA")]
    assert (await sender.client.post("/webhooks/replicate", content=body, headers=headers)).status_code == 202


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_nothing_but_post_is_taken(client: httpx.AsyncClient, method: str) -> None:
    assert (await client.request(method, "/webhooks/replicate")).status_code == 405
