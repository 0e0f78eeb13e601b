"""Each task has an address of its own for webhooks that nobody signs, and says which address its provider is to use."""

from __future__ import annotations

from uuid import UUID, uuid4

import httpx
import pytest

from backstop_common.database import Transactions
from tests.support.admin_api import BASE
from tests.support.factories import Factory
from tests.support.intake import App, app_with_key, task_body
from tests.support.webhooks import Sender, counted, webhook_client


@pytest.fixture
async def app(client: httpx.AsyncClient, transactions: Transactions) -> App:
    app = await app_with_key(client, transactions)
    await app.put_user("ada")
    return app


async def registered(app: App, provider: str, **more: object) -> tuple[UUID, str]:
    """A task without a provider's id, and its address without the host."""
    answer = await app.register(provider=provider, billing="none", providerTaskId=None, **more)
    assert answer.status_code == 201
    url: str = answer.json()["webhookUrl"]
    assert url.startswith(f"{BASE}/webhooks/{provider}")
    return UUID(answer.json()["id"]), url.removeprefix(BASE)


@pytest.mark.parametrize("provider", ["replicate", "kie", "fal"])
async def test_a_provider_that_signs_gets_one_address_for_all_tasks(app: App, provider: str) -> None:
    _, path = await registered(app, provider)
    assert path == f"/webhooks/{provider}"


@pytest.mark.parametrize("provider", ["ark", "luma_dream_machine", "runway", "openai_videos"])
async def test_every_other_task_gets_its_own(app: App, provider: str) -> None:
    """Also those of a provider that signs, while its secret is not set."""
    (_, one), (_, other) = await registered(app, provider), await registered(app, provider)
    assert one != other
    assert len(one.rsplit("/", 1)[1]) == 43


async def test_the_address_stays_the_same(app: App) -> None:
    body = task_body(provider="ark", billing="none", providerTaskId=None)
    first = (await app.send(body)).json()["webhookUrl"]
    named = (await app.send({**body, "providerTaskId": "cgt-1"})).json()["webhookUrl"]
    assert first == named == (await app.read(body["id"])).json()["webhookUrl"]


async def test_a_webhook_at_the_address_asks_for_a_check_of_this_task(
    app: App, client: httpx.AsyncClient, transactions: Transactions
) -> None:
    task, path = await registered(app, "ark")
    other, _ = await registered(app, "ark")
    answer = await client.post(path, json={"id": "whatever", "status": "succeeded"})
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    told = await Sender(client, transactions, task).told()
    assert told.timeline == [{"proof": "address", "event": "succeeded"}]
    assert len(told.checks) == 1
    assert (await Sender(client, transactions, other).told()).is_nothing


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff", b"plain words"])
async def test_any_body_rings_the_bell(
    app: App, client: httpx.AsyncClient, transactions: Transactions, body: bytes
) -> None:
    task, path = await registered(app, "ark")
    assert (await client.post(path, content=body)).status_code == 202
    assert len((await Sender(client, transactions, task).told()).checks) == 1


async def test_the_same_body_is_a_duplicate_and_an_empty_one_never_is(app: App, client: httpx.AsyncClient) -> None:
    _, path = await registered(app, "ark")
    same = [(await client.post(path, json={"status": "succeeded"})).status_code for _ in range(2)]
    empty = [(await client.post(path)).status_code for _ in range(2)]
    assert (same, empty) == ([202, 200], [202, 202])


async def test_progress_is_no_reason_for_a_check(
    app: App, client: httpx.AsyncClient, transactions: Transactions
) -> None:
    task, path = await registered(app, "luma_dream_machine")
    assert (await client.post(path, json={"id": "g", "state": "dreaming"})).status_code == 202
    assert (await Sender(client, transactions, task).told()).is_nothing


async def test_any_changed_character_is_no_address(app: App, client: httpx.AsyncClient) -> None:
    _, path = await registered(app, "ark")
    start, token = path.rsplit("/", 1)
    before = counted("ark", "unverified")
    for place in range(len(token)):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert (await client.post(f"{start}/{changed}")).status_code == 401
    assert counted("ark", "unverified") == before + len(token)


@pytest.mark.parametrize("token", ["a", "A" * 43, "A" * 44, "A" * 5000, "%C3%A9", "%00", "-_=", "....", "%FF"])
async def test_any_other_text_is_no_address(client: httpx.AsyncClient, token: str) -> None:
    answer = await client.post(f"/webhooks/ark/{token}")
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")


async def test_an_address_is_for_one_provider(app: App, client: httpx.AsyncClient) -> None:
    _, path = await registered(app, "ark")
    assert (await client.post(path.replace("/ark/", "/kling/"))).status_code == 401


async def test_another_secret_makes_other_addresses(app: App, transactions: Transactions) -> None:
    _, path = await registered(app, "ark")
    async with webhook_client(
        transactions, BACKSTOP_WEBHOOK_SECRET="another-secret-of-the-tests-0123456789ab"
    ) as other:
        assert (await other.post(path)).status_code == 401


async def test_without_a_secret_there_are_no_addresses(transactions: Transactions) -> None:
    async with webhook_client(transactions, BACKSTOP_WEBHOOK_SECRET=None) as client:
        app = await app_with_key(client, transactions)
        await app.put_user("ada")
        answer = await app.register(provider="ark", billing="none")
        assert (answer.status_code, answer.json()["webhookUrl"]) == (201, None)
        assert (await app.register(provider="replicate", billing="none")).json()["webhookUrl"] is not None
        refused = await client.post("/webhooks/ark/" + "A" * 43)
    assert refused.status_code == 404
    assert "BACKSTOP_WEBHOOK_SECRET" in refused.json()["detail"]


async def test_a_task_whose_provider_is_gone_has_no_address(app: App, factory: Factory) -> None:
    task = await factory.task(provider="no-longer-there")
    assert (await app.read(task)).json()["webhookUrl"] is None


async def test_the_address_is_good_where_the_provider_signs_too(
    client: httpx.AsyncClient, app: App, transactions: Transactions
) -> None:
    """It is proof enough for a bell: the signature is not looked at."""
    async with webhook_client(transactions, {}) as without:
        other = await app_with_key(without, transactions)
        task, path = await registered(other, "replicate")
    assert path != "/webhooks/replicate"
    assert (await client.post(path, json={"status": "succeeded"})).status_code == 202
    assert len((await Sender(client, transactions, task).told()).checks) == 1


async def test_a_challenge_comes_back_and_rings_no_bell(
    app: App, client: httpx.AsyncClient, transactions: Transactions
) -> None:
    task, path = await registered(app, "minimax_v1")
    answer = await client.post(path, json={"challenge": "c-17"})
    assert (answer.status_code, answer.json()) == (200, {"challenge": "c-17"})
    assert (await Sender(client, transactions, task).told()).is_nothing


@pytest.mark.parametrize("challenge", [7, None, "", "x" * 513, {"a": 1}])
async def test_what_is_no_challenge_is_not_sent_back(app: App, client: httpx.AsyncClient, challenge: object) -> None:
    _, path = await registered(app, "minimax_v1")
    answer = await client.post(path, json={"challenge": challenge})
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})


async def test_a_challenge_at_no_task_stays_unanswered(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"/webhooks/minimax_v1/{uuid4().hex}", json={"challenge": "c-17"})
    assert answer.status_code == 401


async def test_an_address_of_a_task_that_is_not_there_is_answered_like_any_other(
    app: App, client: httpx.AsyncClient, transactions: Transactions
) -> None:
    task, path = await registered(app, "ark")
    async with transactions.begin() as tx:
        await tx.execute("DELETE FROM task_events")
        await tx.execute("DELETE FROM tasks")
    answer = await client.post(path, json={"status": "succeeded"})
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    assert (await Sender(client, transactions, task).told()).is_nothing
