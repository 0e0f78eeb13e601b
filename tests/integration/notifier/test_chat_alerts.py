"""Incidents and their messages to Slack and Discord: opened once, resolved once, never lost."""

from __future__ import annotations

import pytest

from backstop_sandbox.chat.room import Refusal, Vendor
from tests.support.factories import JOB
from tests.support.notifier import NotifierUnderTest, finished, notifier_under_test

RESULTS = {"completed": 5, "failed": 2, "stillProcessing": 0, "errors": 3, "totalFound": 10}


async def test_three_failed_runs_open_one_incident_and_the_next_good_run_resolves_it(
    notifier: NotifierUnderTest,
) -> None:
    for minute in (0, 10, 20):
        await notifier.tell(finished("failed", started=minute, ended=minute + 1))
    for minute in (30, 40):
        await notifier.tell(finished("completed", started=minute, ended=minute + 1))
    await notifier.send("slack", "discord")
    (incident,) = await notifier.incidents()
    assert (incident["rule"], incident["job_name"], incident["state"]) == ("run_failed", JOB, "resolved")
    for vendor in (Vendor.SLACK, Vendor.DISCORD):
        assert titles(notifier, vendor) == [f"🔴 Cron Job Alert: {JOB}", f"🟢 Cron Job Resolved: {JOB}"]


async def test_each_job_has_its_own_incident(notifier: NotifierUnderTest) -> None:
    await notifier.tell(finished("failed", started=0, ended=1, job="one"))
    await notifier.tell(finished("failed", started=0, ended=1, job="two"))
    await notifier.tell(finished("completed", started=2, ended=3, job="two"))
    assert {row["job_name"]: row["state"] for row in await notifier.incidents()} == {"one": "open", "two": "resolved"}


async def test_a_new_failure_after_the_resolution_is_a_new_incident(notifier: NotifierUnderTest) -> None:
    await notifier.tell(finished("failed", started=0, ended=1))
    await notifier.tell(finished("completed", started=2, ended=3))
    await notifier.tell(finished("failed", started=10, ended=11))
    assert [row["state"] for row in await notifier.incidents()] == ["resolved", "open"]


async def test_a_good_run_that_was_under_way_already_resolves_nothing(notifier: NotifierUnderTest) -> None:
    await notifier.tell(finished("failed", started=0, ended=5))
    await notifier.tell(finished("completed", started=4, ended=8))
    assert [row["state"] for row in await notifier.incidents()] == ["open"]


async def test_a_failure_told_late_is_resolved_by_the_good_run_that_followed_it(notifier: NotifierUnderTest) -> None:
    good = await notifier.factory.run(status="completed", started_seconds_ago=60, results=RESULTS)
    await notifier.tell(finished("failed", started=-600000, ended=-599999))
    (incident,) = await notifier.incidents()
    assert incident["state"] == "resolved"
    await notifier.send("slack")
    assert titles(notifier, Vendor.SLACK) == [f"🔴 Cron Job Alert: {JOB}", f"🟢 Cron Job Resolved: {JOB}"]
    assert str(good) in notifier.sandbox.chats.messages[1].body["text"]


async def test_the_message_carries_what_the_run_says(notifier: NotifierUnderTest) -> None:
    run = await notifier.factory.run(
        status="failed", duration_ms=45300, results=RESULTS, error_message="pool <exhausted> & tired"
    )
    await notifier.tell(finished("failed", started=0, ended=1, run=run))
    await notifier.send("slack", "discord")
    slack, discord = (message.body for message in notifier.sandbox.chats.messages)
    assert slack["text"] == (
        f"🔴 Cron Job Alert: {JOB}\n\nStatus: FAILED\nExecution ID: {run}\nDuration: 45.3s\n"
        "Error: pool &lt;exhausted&gt; &amp; tired\nResults: Completed: 5, Failed: 2, Errors: 3\n\n"
        "Viecom Cron Monitor • 12:01 PM UTC"
    )
    (embed,) = discord["embeds"]
    fields = {field["name"]: field["value"] for field in embed["fields"]}
    assert fields == {
        "Status": "FAILED",
        "Execution ID": f"`{run}`",
        "Duration": "45.3s",
        "Error": "```\npool <exhausted> & tired\n```",
        "Results": "Completed: 5, Failed: 2, Errors: 3",
    }
    assert embed["url"] == f"https://www.viecom.pro/admin/cron-jobs/{run}"
    assert embed["color"] == 0xD92D20
    assert discord["allowed_mentions"] == {"parse": []}


async def test_the_wish_of_a_busy_chat_is_honoured(notifier: NotifierUnderTest) -> None:
    refuse(notifier, Vendor.SLACK, 429, retry_after_seconds=90)
    await notifier.tell(finished("failed", started=0, ended=1, job="one"))
    await notifier.tell(finished("failed", started=0, ended=1, job="two"))
    await notifier.send("slack")
    await notifier.send("slack")
    assert notifier.sandbox.chats.turned_away == 1
    waits = await waits_of(notifier, "slack")
    assert all(89 < wait < 100 for wait in waits)
    await notifier.let_time_pass()
    await notifier.send("slack")
    assert len(titles(notifier, Vendor.SLACK)) == 2


@pytest.mark.parametrize(("status", "state"), [(404, "failed"), (410, "failed"), (500, "pending"), (503, "pending")])
async def test_refusals_for_good_and_for_now_are_told_apart(
    notifier: NotifierUnderTest, status: int, state: str
) -> None:
    refuse(notifier, Vendor.DISCORD, status)
    await notifier.tell(finished("failed", started=0, ended=1))
    await notifier.send("slack", "discord")
    states = {row["channel"]: row["state"] for row in await notifier.deliveries()}
    assert states == {"discord": state, "slack": "sent"}


async def test_an_alert_whose_worker_died_while_sending_is_sent_again(notifier: NotifierUnderTest) -> None:
    await notifier.tell(finished("failed", started=0, ended=1))
    await notifier.lose_a_worker_while_sending()
    await notifier.turn("delivery-leases")
    await notifier.send("slack", "discord")
    assert {row["state"] for row in await notifier.deliveries()} == {"sent"}


async def test_a_resolution_never_overtakes_the_alert(notifier: NotifierUnderTest) -> None:
    refuse(notifier, Vendor.SLACK, 500)
    await notifier.tell(finished("failed", started=0, ended=1))
    await notifier.send("slack")
    await notifier.tell(finished("completed", started=2, ended=3))
    await notifier.send("slack")
    assert titles(notifier, Vendor.SLACK) == []
    await notifier.let_time_pass()
    await notifier.send("slack")
    assert titles(notifier, Vendor.SLACK) == [f"🔴 Cron Job Alert: {JOB}", f"🟢 Cron Job Resolved: {JOB}"]


async def test_without_chats_incidents_live_all_the_same(database_url: str) -> None:
    async with notifier_under_test(database_url, SLACK_WEBHOOK_URL=None, DISCORD_WEBHOOK_URL=None) as notifier:
        await notifier.tell(finished("failed", started=0, ended=1))
        assert len(await notifier.incidents()) == 1
        assert await notifier.deliveries() == []


def titles(notifier: NotifierUnderTest, vendor: Vendor) -> list[str]:
    bodies = [message.body for message in notifier.sandbox.chats.messages if message.vendor is vendor]
    if vendor is Vendor.SLACK:
        return [body["blocks"][0]["text"]["text"] for body in bodies]
    return [body["embeds"][0]["title"] for body in bodies]


def refuse(notifier: NotifierUnderTest, vendor: Vendor, status: int, retry_after_seconds: float = 1) -> None:
    notifier.sandbox.chats.refusals.append(Refusal(vendor, status, times=1, retry_after_seconds=retry_after_seconds))


async def waits_of(notifier: NotifierUnderTest, channel: str) -> list[float]:
    async with notifier.transactions.read() as reading:
        rows = await reading.rows(
            "SELECT extract(epoch FROM next_attempt_at - clock_timestamp())::float AS wait FROM deliveries"
            " WHERE channel = :channel",
            channel=channel,
        )
    return [row["wait"] for row in rows]
