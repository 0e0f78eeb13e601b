"""The sandbox's chat webhooks over HTTP: accepted, refused, and turned away on command."""

import httpx
import pytest

SLACK = "/hooks/slack/ops"
DISCORD = "/hooks/discord/alerts"


async def test_slack_says_ok_and_keeps_the_message(client: httpx.AsyncClient) -> None:
    answer = await client.post(SLACK, json={"text": "hello"})
    assert (answer.status_code, answer.text) == (200, "ok")
    (chat,) = (await client.get("/control/chats")).json()["chats"]
    assert (chat["vendor"], chat["channel"], chat["body"]) == ("slack", "ops", {"text": "hello"})


async def test_discord_says_nothing_and_keeps_the_message(client: httpx.AsyncClient) -> None:
    answer = await client.post(DISCORD, json={"content": "hello"})
    assert (answer.status_code, answer.content) == (204, b"")
    waited = await client.post(f"{DISCORD}?wait=true", json={"content": "again"})
    assert waited.json()["id"] == "2"
    assert (await client.get("/control/chats")).json()["total"] == 2


@pytest.mark.parametrize(
    ("address", "content", "word"),
    [
        (SLACK, b"{", "invalid_payload"),
        (SLACK, b"{}", "no_text"),
        (DISCORD, b"{", "invalid JSON"),
        (DISCORD, b"{}", "empty message"),
    ],
)
async def test_an_invalid_message_is_refused_and_only_counted(
    client: httpx.AsyncClient, address: str, content: bytes, word: str
) -> None:
    answer = await client.post(address, content=content)
    assert answer.status_code == 400
    assert word in answer.text
    assert (await client.get("/control/chats")).json() == {"total": 0, "turned_away": 1, "chats": []}


@pytest.mark.parametrize(("vendor", "address"), [("slack", SLACK), ("discord", DISCORD)])
@pytest.mark.parametrize("status", [404, 429, 500])
async def test_a_vendor_refuses_so_many_times_and_then_takes_the_message(
    client: httpx.AsyncClient, vendor: str, address: str, status: int
) -> None:
    refusal = {"vendor": vendor, "status": status, "times": 2, "retry_after_seconds": 3}
    assert (await client.put("/control/chats/refusals", json=[refusal])).status_code == 204
    answers = [await client.post(address, json={"text": "x", "content": "x"}) for _ in range(3)]
    assert [answer.status_code for answer in answers[:2]] == [status, status]
    assert answers[2].is_success
    if status == 429:
        assert answers[0].headers["Retry-After"] == "3"


async def test_refusals_can_be_lifted_and_wrong_ones_are_refused(client: httpx.AsyncClient) -> None:
    await client.put("/control/chats/refusals", json=[{"vendor": "slack", "status": 500}])
    assert (await client.post(SLACK, json={"text": "x"})).status_code == 500
    await client.put("/control/chats/refusals", json=[])
    assert (await client.post(SLACK, json={"text": "x"})).status_code == 200
    assert (await client.put("/control/chats/refusals", json=[{"vendor": "teams"}])).status_code == 422
