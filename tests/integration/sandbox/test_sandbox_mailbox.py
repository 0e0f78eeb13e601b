"""The sandbox's mailbox over real SMTP: what is kept, what is refused, and a mail host that is away."""

from email.message import EmailMessage

import aiosmtplib
import httpx
import pytest

from backstop_sandbox import Sandbox


def letter(to: str = "ada@example.com") -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "Viecom <noreply@viecom.example>"
    mail["To"] = to
    mail["Subject"] = "🎬 Your AI Video is Ready!"
    mail["Message-ID"] = "<task-1@viecom.example>"
    mail.set_content("Hello Ada,\n.\n..dots survive\n")
    mail.add_alternative("<html><head></head><body><h1>Hello Ada</h1></body></html>", subtype="html")
    return mail


async def send(sandbox: Sandbox, to: str = "ada@example.com") -> None:
    await aiosmtplib.send(letter(to), hostname="127.0.0.1", port=sandbox.smtp_port, timeout=5)


async def test_a_mail_is_kept_with_envelope_headers_and_both_parts(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    await send(sandbox)
    listed = (await client.get("/control/mails")).json()
    assert listed["total"] == 1
    assert listed["mails"][0]["envelope"] == {"from": "noreply@viecom.example", "to": ["ada@example.com"]}
    mail = (await client.get("/control/mails/1")).json()
    assert mail["subject"] == "🎬 Your AI Video is Ready!"
    assert mail["message_id"] == "<task-1@viecom.example>"
    assert mail["text"].replace("\r\n", "\n") == "Hello Ada,\n.\n..dots survive\n"
    assert "<h1>Hello Ada</h1>" in mail["html"]
    assert "Subject:" in mail["raw"]


async def test_mails_can_be_listed_by_recipient(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    await send(sandbox, "ada@example.com")
    await send(sandbox, "bob@example.com")
    listed = (await client.get("/control/mails", params={"to": "Bob@example.com"})).json()
    assert [mail["number"] for mail in listed["mails"]] == [2]


@pytest.mark.parametrize(("switch", "code"), [("refused", 550), ("deferred", 451)])
async def test_a_switched_recipient_is_turned_away_and_the_others_are_not(
    sandbox: Sandbox, client: httpx.AsyncClient, switch: str, code: int
) -> None:
    await client.put("/control/mailbox", json={switch: ["ada@example.com"]})
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refused:
        await send(sandbox, "ada@example.com")
    assert refused.value.recipients[0].code == code
    await send(sandbox, "bob@example.com")
    assert (await client.get("/control/mails")).json()["total"] == 1


async def test_a_deferred_recipient_is_accepted_after_its_times(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    await client.put("/control/mailbox", json={"deferred": {"*": 1}})
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
        await send(sandbox)
    await send(sandbox)
    assert (await client.get("/control/mailbox")).json()["deferred"] == {}


async def test_a_mail_host_that_is_down_refuses_connections_and_comes_back_on_the_same_port(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    port = sandbox.smtp_port
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, timeout=5) as connected:
        assert (await client.put("/control/mailbox", json={"down": True})).json()["down"] is True
        with pytest.raises(aiosmtplib.SMTPServerDisconnected):
            await connected.noop()
        with pytest.raises(aiosmtplib.SMTPConnectError):
            await send(sandbox)
    assert (await client.put("/control/mailbox", json={})).json() == {
        "refused": [],
        "deferred": {},
        "down": False,
        "total": 0,
        "smtp_port": port,
    }
    await send(sandbox)


async def test_any_login_is_welcome(sandbox: Sandbox) -> None:
    await aiosmtplib.send(
        letter(), hostname="127.0.0.1", port=sandbox.smtp_port, username="anybody", password="anything", timeout=5
    )
    assert len(sandbox.mailbox.mails) == 1


async def test_a_mails_page_shows_its_parts_and_keeps_its_html_in_a_box(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    await send(sandbox)
    page = await client.get("/mails/1")
    assert "🎬 Your AI Video is Ready!" in page.text
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in page.text
    part = await client.get("/mails/1/html")
    assert '<head><base target="_blank"></head>' in part.text
    assert "sandbox allow-popups" in part.headers["content-security-policy"]
    assert (await client.get("/mails/1/raw")).headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("address", ["/mails/1", "/mails/0", "/mails/1/html", "/mails/1/raw", "/control/mails/1"])
async def test_a_mail_that_never_came_is_not_found(client: httpx.AsyncClient, address: str) -> None:
    assert (await client.get(address)).status_code == 404
