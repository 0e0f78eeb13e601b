"""Who gets in: sessions, foreign pages, wrong tokens, and what errors give away."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import ASGIApp

from backstop_common.database import Transactions, create_engine
from tests.support.admin_api import ADMIN_TOKEN, AS_ADMIN, BASE, SESSION_SECRET, admin_app, client_of
from tests.support.factories import Factory

TRIGGER = "/api/admin/trigger-cron"
PAGE = "/admin/cron-jobs"


async def _csrf(browser: httpx.AsyncClient) -> str:
    found = re.search(r'name="csrf-token" content="([0-9a-f]+)"', (await browser.get(PAGE)).text)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("path", [PAGE, "/admin/cron-jobs/00000000-0000-0000-0000-000000000000"])
async def test_a_page_without_a_session_leads_to_the_login_and_back(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, params={"jobName": "a"})
    assert answer.status_code == 303
    login = await client.get(answer.headers["location"])
    assert f'value="{path}?jobName=a"' in login.text


@pytest.mark.parametrize("path", ["/api/admin/cron-jobs", "/api/admin/jobs", "/admin/fragments/cron-jobs"])
async def test_an_api_without_a_key_is_a_401_problem(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_right_token_opens_and_logging_out_closes(client: httpx.AsyncClient) -> None:
    answer = await client.post("/admin/login", data={"token": ADMIN_TOKEN, "next": "/admin/cron-jobs?jobName=audit"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/cron-jobs?jobName=audit")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert (await client.get(PAGE)).status_code == 200
    assert (await client.post("/admin/logout", data={"csrf_token": await _csrf(client)})).status_code == 303
    assert (await client.get(PAGE)).status_code == 303


async def test_on_https_the_cookie_is_secure_and_bound_to_the_host(transactions: Transactions) -> None:
    app = admin_app(transactions, APP_BASE_URL="https://backstop.test")
    async with client_of(app, base_url="https://backstop.test") as client:
        answer = await client.post("/admin/login", data={"token": ADMIN_TOKEN})
        assert answer.headers["set-cookie"].startswith("__Host-")
        assert "secure" in answer.headers["set-cookie"].lower()
        assert "strict-transport-security" in answer.headers
        assert (await client.get(PAGE)).status_code == 200


@pytest.mark.parametrize(
    "address", ["//evil.test", "https://evil.test/admin/", "/\\evil.test", "/admin/\n", "javascript:alert(1)", "/api"]
)
async def test_a_login_leads_to_our_own_pages_only(client: httpx.AsyncClient, address: str) -> None:
    answer = await client.post("/admin/login", data={"token": ADMIN_TOKEN, "next": address})
    assert answer.headers["location"] == PAGE


async def test_wrong_tokens_are_told_and_then_slowed_down(client: httpx.AsyncClient) -> None:
    answers = [await client.post("/admin/login", data={"token": f"wrong-ü-{n}"}) for n in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert "not the admin token" in answers[0].text
    assert int(answers[-1].headers["retry-after"]) <= 30
    assert (await client.post("/admin/login", data={"token": ADMIN_TOKEN})).status_code == 429


@pytest.mark.parametrize("change", ["token", "secret", "text"])
async def test_a_cookie_of_other_secrets_is_worth_nothing(
    browser: httpx.AsyncClient, transactions: Transactions, change: str
) -> None:
    overrides = {"token": {"ADMIN_TOKEN": "t" * 40}, "secret": {"SESSION_SECRET": "s" * 40}, "text": {}}[change]
    cookies = {name: value + ("x" if change == "text" else "") for name, value in browser.cookies.items()}
    async with client_of(admin_app(transactions, **overrides)) as other:
        other.cookies.update(cookies)
        assert (await other.get(PAGE)).status_code == 303


async def test_a_session_may_trigger_with_the_token_of_its_page(browser: httpx.AsyncClient, factory: Factory) -> None:
    headers = {"X-CSRF-Token": await _csrf(browser), "Origin": BASE, "Sec-Fetch-Site": "same-origin"}
    assert (await browser.post(TRIGGER, headers=headers)).status_code == 202


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.test"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"X-CSRF-Token": "0" * 64},
        {"X-CSRF-Token": "ü".encode()},
        {"X-CSRF-Token": ""},
    ],
)
async def test_a_foreign_page_cannot_use_the_session(
    browser: httpx.AsyncClient, factory: Factory, transactions: Transactions, headers: dict[str, str]
) -> None:
    answer = await browser.post(TRIGGER, headers={"X-CSRF-Token": await _csrf(browser), **headers})
    assert answer.status_code == 403
    async with transactions.read() as reading:
        assert await reading.value("SELECT count(*) FROM ticks") == 0


@pytest.mark.parametrize("path", ["/admin/login", PAGE, "/api/admin/cron-jobs", "/no-such-page", "/static/admin.css"])
async def test_every_answer_forbids_foreign_content_and_frames(browser: httpx.AsyncClient, path: str) -> None:
    headers = (await browser.get(path)).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("DELETE", TRIGGER, 405)])
async def test_addresses_and_methods_that_are_not_there_are_problems(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status


async def _in_pieces() -> AsyncIterator[bytes]:
    for _ in range(100):
        yield b" " * 1000


@pytest.mark.parametrize("content", [b" " * 100_000, None], ids=["declared", "in pieces"])
async def test_a_body_too_large_is_refused(client: httpx.AsyncClient, content: bytes | None) -> None:
    headers = {**AS_ADMIN, "Content-Type": "application/json"}
    answer = await client.post(TRIGGER, headers=headers, content=content or _in_pieces())
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


@pytest.fixture
async def broken(database_url: str) -> AsyncIterator[ASGIApp]:
    """An application whose database has no such table any more."""
    engine = create_engine(database_url, application_name="tests")
    transactions = Transactions(engine)
    async with transactions.begin() as tx:
        await tx.execute("DROP TABLE jobs CASCADE")
    yield admin_app(transactions)
    await engine.dispose()


async def test_an_error_of_ours_gives_nothing_away(broken: ASGIApp) -> None:
    async with client_of(broken) as client:
        answer = await client.get("/api/admin/jobs", headers=AS_ADMIN)
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "jobs" not in answer.json()["detail"]
    assert "frame-ancestors" in answer.headers["content-security-policy"]
    assert SESSION_SECRET not in answer.text


async def test_a_database_that_is_away_is_a_503_with_a_time_to_try_again(unused_tcp_port: int) -> None:
    engine = create_engine(f"postgresql://u:p@127.0.0.1:{unused_tcp_port}/d", application_name="tests")
    async with client_of(admin_app(Transactions(engine))) as client:
        answer = await client.get("/api/admin/jobs", headers=AS_ADMIN)
    await engine.dispose()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_openapi_document_describes_the_api(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert {"/api/cron/process-stuck-tasks", TRIGGER, "/api/admin/cron-jobs", "/api/admin/jobs"} <= set(
        document["paths"]
    )
    assert not any(path.startswith("/admin") for path in document["paths"])


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_the_probes_are_open(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 200
