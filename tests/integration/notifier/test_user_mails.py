"""Mails to users, from the event to the mail host: at most one per task and kind, whatever breaks on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from backstop_common.database import Transactions
from backstop_common.ids import delivery_id
from backstop_notifier.application.ports import ClaimedDelivery, Sender
from backstop_notifier.application.send_deliveries import SendDeliveries
from backstop_notifier.domain.delivery import Accepted, Channel, Outcome
from tests.support.mail_hosts import mail_host_that_hangs_up_after_the_content
from tests.support.notifier import NotifierUnderTest, completed, failed, notifier_under_test, same_event


async def test_a_completed_task_makes_one_mail_as_promised(notifier: NotifierUnderTest) -> None:
    user = await notifier.factory.user(name="Ada Lovelace", email="ada@example.com")
    message = completed(user, urls=["https://cdn.viecom.pro/a.mp4?sig=1&x=2"])
    await notifier.tell(message)
    await notifier.send("email")
    (mail,) = notifier.sandbox.mailbox.mails
    headers = dict(mail.headers)
    assert mail.subject == "🎬 Your AI Video is Ready!"
    assert mail.to == "Ada Lovelace <ada@example.com>"
    assert mail.sender == "Viecom <no-reply@viecom.pro>"
    assert mail.message_id == f"<{delivery_id(f'mail:task-completed:{message.task_id}')}@viecom.pro>"
    assert headers["Auto-Submitted"] == "auto-generated"
    assert mail.date
    assert mail.html is not None
    assert mail.text is not None
    for part in (mail.html, mail.text):
        assert "Hi Ada Lovelace," in part
        assert "View in Assets Library" in part
        assert "https://www.viecom.pro/assets" in part
    assert 'href="https://cdn.viecom.pro/a.mp4?sig=1&amp;x=2"' in mail.html
    assert "https://cdn.viecom.pro/a.mp4?sig=1&x=2" in mail.text
    row = await notifier.delivery()
    assert (row["state"], row["attempt_count"], row["last_error"]) == ("sent", 1, None)


async def test_an_image_has_its_own_subject(notifier: NotifierUnderTest) -> None:
    await notifier.tell(completed(await notifier.factory.user(), kind="image"))
    await notifier.send("email")
    assert [mail.subject for mail in notifier.sandbox.mailbox.mails] == ["🖼️ Your AI Image is Ready!"]


async def test_a_failed_task_makes_an_honest_mail_with_the_credits(notifier: NotifierUnderTest) -> None:
    await notifier.tell(failed(await notifier.factory.user(), message="NSFW <b>content</b> \x00detected"))
    await notifier.send("email")
    (mail,) = notifier.sandbox.mailbox.mails
    assert mail.html is not None
    assert mail.text is not None
    assert mail.subject == "Your AI video could not be generated"
    assert "NSFW &lt;b&gt;content&lt;/b&gt; detected" in mail.html
    assert "Your 12 credits are back" in mail.html
    assert "Your 12 credits are back" in mail.text


async def test_a_redelivered_event_makes_one_mail(notifier: NotifierUnderTest) -> None:
    message = completed(await notifier.factory.user())
    for _ in range(3):
        await notifier.tell(message, same_event(message))
        await notifier.send("email")
    assert len(notifier.sandbox.mailbox.mails) == 1


async def test_the_same_task_told_under_another_event_id_makes_one_mail(notifier: NotifierUnderTest) -> None:
    message = completed(await notifier.factory.user())
    await notifier.tell(message)
    await notifier.send("email")
    await notifier.tell(message)
    await notifier.send("email")
    assert len(notifier.sandbox.mailbox.mails) == 1


async def test_no_mail_for_those_who_want_none_or_have_no_address(notifier: NotifierUnderTest) -> None:
    silent, homeless = await notifier.factory.user(), await notifier.factory.user()
    async with notifier.transactions.begin() as tx:
        await tx.execute("UPDATE users SET notify = false WHERE id = :id", id=silent)
        await tx.execute("UPDATE users SET email = NULL WHERE id = :id", id=homeless)
    for user in (silent, homeless, "nobody we know"):
        await notifier.tell(completed(user))
    assert await notifier.deliveries() == []


async def test_without_a_mail_server_there_are_no_mail_deliveries(database_url: str) -> None:
    async with notifier_under_test(database_url, SMTP_URL=None) as notifier:
        await notifier.tell(completed(await notifier.factory.user()))
        assert await notifier.deliveries() == []


async def test_one_refused_recipient_does_not_block_the_others(notifier: NotifierUnderTest) -> None:
    notifier.sandbox.mailbox.refused.add("gone@example.com")
    for address in ("first@example.com", "gone@example.com", "not an address", "last@example.com"):
        await notifier.tell(completed(await notifier.factory.user(email=address)))
    await notifier.send("email")
    states = {row["recipient"]: row["state"] for row in await notifier.deliveries()}
    assert states == {
        "first@example.com": "sent",
        "gone@example.com": "failed",
        "not an address": "failed",
        "last@example.com": "sent",
    }


async def test_a_refusal_for_good_is_not_tried_again(notifier: NotifierUnderTest) -> None:
    notifier.sandbox.mailbox.refused.add("gone@example.com")
    await notifier.tell(completed(await notifier.factory.user(email="gone@example.com")))
    await notifier.send("email")
    await notifier.let_time_pass()
    await notifier.send("email")
    row = await notifier.delivery()
    assert (row["state"], row["attempt_count"]) == ("failed", 1)
    assert row["last_error"].startswith("550 5.1.1")


async def test_a_put_off_recipient_gets_the_mail_later_with_the_same_message_id(notifier: NotifierUnderTest) -> None:
    notifier.sandbox.mailbox.deferred["busy@example.com"] = 1
    await notifier.tell(completed(await notifier.factory.user(email="busy@example.com")))
    await notifier.send("email")
    row = await notifier.delivery()
    assert (row["state"], row["attempt_count"]) == ("pending", 1)
    assert 2 < await notifier.seconds_until_next() < 8
    await notifier.let_time_pass()
    await notifier.send("email")
    assert (await notifier.delivery())["state"] == "sent"
    assert [mail.message_id for mail in notifier.sandbox.mailbox.mails] == [f"<{row['id']}@viecom.pro>"]


async def test_mails_wait_while_the_mail_host_is_down_and_go_when_it_is_back(notifier: NotifierUnderTest) -> None:
    for _ in range(3):
        await notifier.tell(completed(await notifier.factory.user()))
    async with httpx.AsyncClient(base_url=notifier.sandbox.url) as control:
        (await control.put("/control/mailbox", json={"down": True})).raise_for_status()
        await notifier.send("email")
        rows = await notifier.deliveries()
        assert {row["state"] for row in rows} == {"pending"}
        assert sorted(row["attempt_count"] for row in rows) == [0, 0, 1]
        (await control.put("/control/mailbox", json={"down": False})).raise_for_status()
    await notifier.let_time_pass()
    await notifier.send("email")
    assert {row["state"] for row in await notifier.deliveries()} == {"sent"}
    assert len(notifier.sandbox.mailbox.mails) == 3


async def test_a_mail_whose_worker_died_while_sending_is_not_sent_again(notifier: NotifierUnderTest) -> None:
    await notifier.tell(completed(await notifier.factory.user()))
    await notifier.lose_a_worker_while_sending()
    await notifier.turn("delivery-leases")
    await notifier.let_time_pass()
    await notifier.send("email")
    assert notifier.sandbox.mailbox.mails == []
    row = await notifier.delivery()
    assert (row["state"], row["lease_holder"]) == ("uncertain", None)


@dataclass(frozen=True, slots=True)
class SlowOutlet:
    """Takes so long that another worker has the delivery when it is done."""

    transactions: Transactions

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Sender]:
        yield self

    async def send(self, delivery: ClaimedDelivery) -> Outcome:
        async with self.transactions.begin() as tx:
            await tx.execute("UPDATE deliveries SET lease_holder = 'another worker' WHERE id = :id", id=delivery.id)
        return Accepted()


async def test_a_worker_that_lost_its_lease_changes_nothing(notifier: NotifierUnderTest) -> None:
    await notifier.tell(completed(await notifier.factory.user()))
    slow = SlowOutlet(notifier.transactions)
    await SendDeliveries(notifier.transactions, Channel.EMAIL, slow, "a slow worker", lambda: 0.5, 120).run_once()
    row = await notifier.delivery()
    assert (row["state"], row["lease_holder"]) == ("sending", "another worker")


async def test_a_mail_lost_on_its_way_is_uncertain(database_url: str) -> None:
    async with (
        mail_host_that_hangs_up_after_the_content() as port,
        notifier_under_test(database_url, SMTP_URL=f"smtp://127.0.0.1:{port}?starttls=false") as notifier,
    ):
        await notifier.tell(completed(await notifier.factory.user()))
        await notifier.send("email")
        row = await notifier.delivery()
        assert (row["state"], row["attempt_count"]) == ("uncertain", 1)


async def test_a_login_that_is_refused_fails_no_mail(database_url: str) -> None:
    async with mail_host_that_hangs_up_after_the_content() as port:
        url = f"smtp://app:s3cret%2Fpass@127.0.0.1:{port}?starttls=false"
        async with notifier_under_test(database_url, SMTP_URL=url) as notifier:
            await notifier.tell(completed(await notifier.factory.user()))
            await notifier.send("email")
            row = await notifier.delivery()
            assert (row["state"], row["attempt_count"]) == ("pending", 1)
            assert "535" in row["last_error"]
            assert "s3cret" not in row["last_error"]


async def test_one_connection_carries_a_whole_batch(notifier: NotifierUnderTest) -> None:
    connections: list[object] = []
    loop = asyncio.get_running_loop()
    original = loop.create_connection

    async def counted(*arguments: Any, **options: Any) -> Any:
        if options.get("port") == notifier.sandbox.smtp_port:
            connections.append(options)
        return await original(*arguments, **options)

    for _ in range(5):
        await notifier.tell(completed(await notifier.factory.user()))
    loop.create_connection = counted  # type: ignore[method-assign]
    await notifier.send("email")
    assert len(notifier.sandbox.mailbox.mails) == 5
    assert len(connections) == 1
