"""The sandbox's providers over HTTP: credentials, unknown ids, troubles, and what was counted."""

import asyncio
from typing import Any

import httpx
import pytest

from backstop_sandbox import Sandbox

ADDRESSES = {
    "replicate": "/replicate/v1/predictions/abc",
    "fal": "/fal/fal-ai/sandbox/requests/abc/status",
    "kie": "/kie/api/v1/jobs/recordInfo?taskId=abc",
}
CREDENTIALS = {"replicate": "Bearer token", "fal": "Key id:secret", "kie": "Bearer token"}


async def script(client: httpx.AsyncClient, **fields: Any) -> None:
    answer = await client.post("/control/generations", json={"id": "abc"} | fields)
    assert answer.status_code == 201, answer.text


async def ask(client: httpx.AsyncClient, provider: str, address: str | None = None) -> httpx.Response:
    headers = {"Authorization": CREDENTIALS[provider]}
    return await client.get(address or ADDRESSES[provider], headers=headers)


@pytest.mark.parametrize("provider", ADDRESSES)
@pytest.mark.parametrize("credentials", [None, "Basic eDp5", "Bearer", "Key"])
async def test_nobody_is_answered_without_the_documented_credentials(
    client: httpx.AsyncClient, provider: str, credentials: str | None
) -> None:
    await script(client, provider=provider)
    headers = {"Authorization": credentials} if credentials else {}
    answer = await client.get(ADDRESSES[provider], headers=headers)
    assert answer.status_code == 401
    body = answer.json()
    assert body["code"] == 401 if provider == "kie" else body["detail"]


@pytest.mark.parametrize("registered", [False, True])
@pytest.mark.parametrize(
    ("provider", "status", "body"),
    [
        (
            "replicate",
            404,
            {"title": "Not found", "detail": "The requested resource could not be found.", "status": 404},
        ),
        ("fal", 404, {"detail": "Request not found"}),
        ("kie", 200, {"code": 422, "msg": "recordInfo is null", "data": None}),
    ],
)
async def test_an_unknown_id_gets_the_providers_own_not_found(
    client: httpx.AsyncClient, provider: str, status: int, body: dict[str, Any], registered: bool
) -> None:
    if registered:
        await script(client, provider=provider, behaviour="unknown_id")
    answer = await ask(client, provider)
    assert (answer.status_code, answer.json()) == (status, body)


async def test_a_fal_request_is_unknown_to_another_app(client: httpx.AsyncClient) -> None:
    await script(client, provider="fal", app="fal-ai/flux")
    assert (await ask(client, "fal")).status_code == 404
    assert (await ask(client, "fal", "/fal/fal-ai/flux/requests/abc/status")).status_code == 200
    assert (await ask(client, "fal", "/fal/fal-ai/other/requests/abc")).status_code == 404


async def test_the_output_addresses_of_every_provider_can_be_fetched(client: httpx.AsyncClient) -> None:
    for provider in ADDRESSES:
        await script(client, provider=provider)
    replicate = (await ask(client, "replicate")).json()["output"][0]
    status = (await ask(client, "fal")).json()
    fal = (await ask(client, "fal", status["response_url"])).json()["images"][0]["url"]
    kie = str((await ask(client, "kie")).json()["data"]["resultJson"]).split('"')[3]
    for address in (replicate, fal, kie):
        answer = await client.get(address)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")


async def test_a_flaky_provider_recovers_after_its_failing_polls(client: httpx.AsyncClient) -> None:
    await script(client, provider="replicate", behaviour="flaky", failing_polls=2, retry_after_seconds=4)
    answers = [await ask(client, "replicate") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 500, 200]
    assert answers[0].headers["Retry-After"] == "4"


async def test_a_flaky_kie_says_so_inside_its_envelope(client: httpx.AsyncClient) -> None:
    await script(client, provider="kie", behaviour="flaky", failing_polls=1)
    first, second = [await ask(client, "kie") for _ in range(2)]
    assert (first.status_code, first.json()["code"]) == (200, 429)
    assert second.json()["data"]["state"] == "success"


async def test_a_slow_answer_comes_after_its_delay(client: httpx.AsyncClient) -> None:
    await script(client, provider="replicate", behaviour="slow", delay_seconds=0.3)
    before = asyncio.get_running_loop().time()
    answer = await ask(client, "replicate")
    assert asyncio.get_running_loop().time() - before >= 0.3
    assert answer.json()["status"] == "succeeded"


async def test_a_stopping_sandbox_does_not_wait_for_slow_answers(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    await script(client, provider="replicate", behaviour="slow", delay_seconds=600)
    polled = asyncio.Event()
    sandbox.world.on_change = polled.set
    asked = asyncio.create_task(ask(client, "replicate"))
    async with asyncio.timeout(5):
        await polled.wait()
        await sandbox.stop()
        assert (await asked).status_code == 503


@pytest.mark.parametrize(("provider", "status"), [("replicate", 503), ("fal", 503), ("kie", 200)])
async def test_an_outage_hits_every_task_of_a_provider_until_its_times_are_over(
    client: httpx.AsyncClient, provider: str, status: int
) -> None:
    await script(client, provider=provider)
    await client.put(f"/control/providers/{provider}", json={"status": 503, "times": 2})
    answers = [await ask(client, provider) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [status, status, 200]
    if provider == "kie":
        assert [answer.json()["code"] for answer in answers] == [503, 503, 200]


async def test_an_outage_can_be_lifted(client: httpx.AsyncClient) -> None:
    await script(client, provider="fal")
    await client.put("/control/providers/fal", json={"status": 401})
    assert (await ask(client, "fal")).status_code == 401
    assert (await client.delete("/control/providers/fal")).status_code == 204
    assert (await ask(client, "fal")).status_code == 200


async def test_polls_results_and_strangers_are_counted(client: httpx.AsyncClient) -> None:
    await script(client, provider="fal")
    await ask(client, "fal")
    await ask(client, "fal")
    await ask(client, "fal", "/fal/fal-ai/sandbox/requests/abc")
    await ask(client, "kie")
    listed = (await client.get("/control/generations")).json()
    (generation,) = listed["generations"]
    assert (generation["polls"], generation["results"], listed["unknown_polls"]) == (2, 1, {"kie": 1})


async def test_a_list_with_a_wrong_script_registers_nothing(client: httpx.AsyncClient) -> None:
    scripts = [{"provider": "fal", "id": "good"}, {"provider": "fal", "id": "bad", "behaviour": "odd"}]
    answer = await client.post("/control/generations", json=scripts)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].startswith("behaviour:")
    assert (await client.get("/control/generations")).json()["generations"] == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff"])
async def test_a_body_that_is_no_json_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    assert (await client.post("/control/generations", content=body)).status_code == 422
