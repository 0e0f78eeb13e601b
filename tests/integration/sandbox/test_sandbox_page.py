"""The sandbox's page: what arrived is on it, escaped, and nothing on it comes from elsewhere."""

import re

import httpx

from backstop_sandbox import Sandbox


async def test_an_empty_sandbox_says_what_will_appear(client: httpx.AsyncClient) -> None:
    page = (await client.get("/")).text
    for sentence in ("No mail yet", "No alerts yet", "No generations yet"):
        assert sentence in page


async def test_what_arrived_is_on_the_page(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    await client.post("/control/generations", json={"provider": "fal", "id": "abc", "kind": "video"})
    await client.post("/hooks/discord/alerts", json={"embeds": [{"title": "Cron <b>Alert</b>", "color": 0xFF0000}]})
    sandbox.mailbox.receive(b"Subject: Ready <i>now</i>\r\n\r\nx", "a@example.com", ["<ada@example.com>"])
    await client.put("/control/providers/kie", json={"status": 503})
    page = (await client.get("/")).text
    assert 'fill="#ff0000"' in page
    assert "Cron &lt;b&gt;Alert&lt;/b&gt;" in page
    assert "Ready &lt;i&gt;now&lt;/i&gt;" in page
    assert "/files/fal-abc/0.mp4?preview=1" in page
    assert "kie answers 503" in page


async def test_the_page_loads_nothing_from_other_hosts_and_no_inline_script(client: httpx.AsyncClient) -> None:
    await client.post("/hooks/slack/ops", json={"text": "see <https://x.test/a|this>"})
    answer = await client.get("/")
    loaded = re.findall(r'<(?:script|link|img|video|iframe)[^>]*(?:src|href)="([^"]*)"', answer.text)
    assert loaded
    assert all(address.startswith("/") for address in loaded)
    assert "<script>" not in answer.text
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    for address in loaded:
        assert (await client.get(address)).status_code == 200


async def test_the_changing_part_has_an_entity_tag_that_changes_with_it(client: httpx.AsyncClient) -> None:
    first = await client.get("/?part=main")
    known = {"If-None-Match": first.headers["etag"]}
    assert "<html" not in first.text
    assert (await client.get("/?part=main", headers=known)).status_code == 304
    await client.post("/hooks/slack/ops", json={"text": "news"})
    assert (await client.get("/?part=main", headers=known)).status_code == 200


async def test_a_reset_forgets_everything_and_lifts_every_trouble(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    await client.post("/control/generations", json={"provider": "fal", "id": "abc"})
    await client.post("/hooks/slack/ops", json={"text": "news"})
    sandbox.mailbox.receive(b"Subject: x\r\n\r\nx", "", ["ada@example.com"])
    await client.put("/control/mailbox", json={"down": True, "refused": ["*"]})
    await client.put("/control/providers/kie", json={"status": 503})
    assert (await client.post("/control/reset")).status_code == 204
    page = (await client.get("/")).text
    assert "No mail yet" in page
    assert "No alerts yet" in page
    assert "No generations yet" in page
    assert "Troubles" not in page
