"""Alerts as Slack and Discord take them: the seed's words, the vendors' limits, nothing that mentions or links."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop_notifier.domain.alert import AlertLook, alert_of
from backstop_notifier.domain.discord import discord_body
from backstop_notifier.domain.facts import AlertFacts, RunFacts
from backstop_notifier.domain.slack import slack_body
from backstop_sandbox.chat.discord import discord_problem
from backstop_sandbox.chat.slack import slack_problem

LOOK = AlertLook("Viecom", "https://www.viecom.pro")
RUN = RunFacts("3f0c6a52-8c1e-4a8e-9f3b-0d2f6f7b1c11", "failed", 45_300, "database gone", 5, 2, 3)
OPENED = AlertFacts(
    rule="run_failed",
    job_name="process-stuck-tasks",
    provider=None,
    summary="Run failed: database gone",
    run=RUN,
    opened_at=datetime(2026, 11, 23, 15, 45, tzinfo=UTC),
)


def slack(facts: AlertFacts) -> dict[str, Any]:
    return slack_body(alert_of(facts, LOOK))


def discord(facts: AlertFacts) -> dict[str, Any]:
    return discord_body(alert_of(facts, LOOK))


def with_error(error: str) -> AlertFacts:
    return replace(OPENED, run=replace(RUN, error_message=error))


def test_slack_reads_as_the_seed_promises() -> None:
    body = slack(OPENED)
    assert body["text"] == (
        "🔴 Cron Job Alert: process-stuck-tasks\n\nStatus: FAILED\nExecution ID: 3f0c6a52-8c1e-4a8e-9f3b-0d2f6f7b1c11\n"
        "Duration: 45.3s\nError: database gone\nResults: Completed: 5, Failed: 2, Errors: 3\n\n"
        "Viecom Cron Monitor • 3:45 PM UTC"
    )
    assert body["attachments"][0]["color"] == "#d92d20"
    assert body["attachments"][0]["blocks"][-1]["elements"][0]["text"] == (
        "Viecom Cron Monitor • <!date^1795448700^{time}|3:45 PM UTC>"
    )


def test_discord_names_brand_and_time() -> None:
    (embed,) = discord(OPENED)["embeds"]
    assert embed["footer"] == {"text": "Viecom Cron Monitor"}
    assert embed["timestamp"] == "2026-11-23T15:45:00+00:00"
    assert embed["color"] == 0xD92D20


def test_a_resolved_incident_is_green_and_tells_how_long_it_was_open() -> None:
    facts = replace(OPENED, resolved_at=OPENED.opened_at + timedelta(minutes=70))
    (embed,) = discord(facts)["embeds"]
    values = {field["name"]: field["value"] for field in embed["fields"]}
    assert embed["title"] == "🟢 Cron Job Resolved: process-stuck-tasks"
    assert embed["color"] == 0x12B76A
    assert (values["Status"], values["Open for"]) == ("RESOLVED", "1 h 10 min")
    assert "Error" not in values


def test_an_alert_without_its_run_still_says_why() -> None:
    facts = replace(OPENED, run=None)
    assert "Error: Run failed: database gone" in slack(facts)["text"]
    assert "url" not in discord(facts)["embeds"][0]


def test_slack_text_cannot_mention_or_link() -> None:
    text = str(slack(with_error("<!channel> <https://evil.example|click> & more")))
    assert "<!channel>" not in text
    assert "<https://evil" not in text


def test_error_text_cannot_leave_its_code_block() -> None:
    error = "boom``` <@everyone>"
    (field,) = [one for one in discord(with_error(error))["embeds"][0]["fields"] if one["name"] == "Error"]
    assert field["value"].count("```") == 2
    (block,) = [one for one in slack(with_error(error))["attachments"][0]["blocks"] if "*Error:*" in str(one)]
    assert block["text"]["text"].count("```") == 2


@given(
    error=st.text(max_size=9000),
    job=st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3000),
)
def test_the_vendors_take_every_alert(error: str, job: str) -> None:
    facts = replace(with_error(error), job_name=job)
    assert slack_problem(slack(facts)) is None
    assert discord_problem(discord(facts)) is None


@pytest.mark.parametrize("error", ["&" * 9000, "😀" * 9000, "<" * 2999, "`" * 5000, "_" * 9000])
def test_long_errors_are_cut_to_the_limits(error: str) -> None:
    assert slack_problem(slack(with_error(error))) is None
    assert discord_problem(discord(with_error(error))) is None


def test_facts_survive_their_payload() -> None:
    for facts in (OPENED, replace(OPENED, run=None, resolved_at=OPENED.opened_at)):
        assert AlertFacts.from_payload({**facts.as_payload(), "unknown": 1}) == facts
