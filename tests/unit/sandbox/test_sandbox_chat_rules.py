"""What Slack and Discord take and refuse, and how messages look on the sandbox's page."""

from datetime import UTC, datetime
from typing import Any

import pytest

from backstop_sandbox.chat.cards import post_of
from backstop_sandbox.chat.discord import discord_problem
from backstop_sandbox.chat.marks import discord_html, slack_html
from backstop_sandbox.chat.room import ChatMessage, ChatRoom, Refusal, Vendor
from backstop_sandbox.chat.slack import slack_problem

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def header(text: str) -> dict[str, Any]:
    return {"type": "header", "text": {"type": "plain_text", "text": text}}


def message(vendor: Vendor, body: dict[str, Any]) -> ChatMessage:
    return ChatMessage(1, vendor, "ops", NOW, body)


@pytest.mark.parametrize(
    "body",
    [
        {"text": "hello"},
        {"blocks": [header("Alert"), section("x" * 3000), {"type": "divider"}]},
        {"attachments": [{"color": "#e01e5a", "blocks": [section("x")]}]},
    ],
)
def test_slack_takes_text_blocks_and_attachments(body: dict[str, Any]) -> None:
    assert slack_problem(body) is None


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (None, "invalid_payload"),
        ([], "invalid_payload"),
        ({}, "no_text"),
        ({"text": "  "}, "no_text"),
        ({"blocks": [section("")]}, "invalid_blocks"),
        ({"blocks": [header("x" * 151)]}, "invalid_blocks"),
        ({"blocks": [section("x" * 3001)]}, "invalid_blocks"),
        ({"blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        ({"blocks": [{"type": "unheard_of"}]}, "invalid_blocks"),
        ({"blocks": [{"type": "section", "fields": [{"type": "mrkdwn", "text": "x"}] * 11}]}, "invalid_blocks"),
        ({"blocks": [section("x" * 3000)] * 5}, "msg_blocks_too_long"),
        ({"text": "x", "attachments": "none"}, "invalid_attachments"),
    ],
)
def test_slack_refuses_in_its_own_words(body: object, word: str) -> None:
    assert slack_problem(body) == word


@pytest.mark.parametrize(
    "embed",
    [
        {"title": "x" * 256, "description": "y" * 4096},
        {"fields": [{"name": "n", "value": "v"}] * 25, "color": 0xFFFFFF, "footer": {"text": "f"}},
    ],
)
def test_discord_takes_embeds_up_to_its_limits(embed: dict[str, Any]) -> None:
    assert discord_problem({"embeds": [embed]}) is None


@pytest.mark.parametrize(
    ("embed", "path"),
    [
        ({"title": "x" * 257}, ["title"]),
        ({"description": "x" * 4097}, ["description"]),
        ({"fields": [{"name": "n", "value": "v"}] * 26}, ["fields"]),
        ({"fields": [{"name": "n", "value": ""}]}, ["fields", "0", "value"]),
        ({"fields": [{"name": "n", "value": "x" * 1025}]}, ["fields", "0", "value"]),
        ({"color": 0x1000000}, ["color"]),
        ({"footer": {"text": "x" * 2049}}, ["footer", "text"]),
    ],
)
def test_discord_points_at_the_field_that_is_wrong(embed: dict[str, Any], path: list[str]) -> None:
    problem = discord_problem({"embeds": [embed]})
    assert problem is not None
    assert problem["code"] == 50035
    node = problem["errors"]["embeds"]["0"]
    for step in path:
        node = node[step]
    assert node["_errors"][0]["message"]


def test_discord_refuses_an_empty_message_and_too_much_text_over_all_embeds() -> None:
    empty = discord_problem({"content": ""})
    assert empty is not None
    assert empty["code"] == 50006
    large = discord_problem({"embeds": [{"description": "x" * 3001}, {"description": "y" * 3000}]})
    assert large is not None
    assert large["errors"]["embeds"]["_errors"][0]["code"] == "MAX_EMBED_SIZE_EXCEEDED"


def test_a_refusal_is_used_up_by_the_channel_it_names() -> None:
    room = ChatRoom(lambda: NOW, refusals=[Refusal(Vendor.SLACK, 429, channel="ops", times=1)])
    assert room.refusal(Vendor.SLACK, "other") is None
    assert room.refusal(Vendor.DISCORD, "ops") is None
    assert room.refusal(Vendor.SLACK, "ops") is not None
    assert room.refusal(Vendor.SLACK, "ops") is None


def test_slack_marks_become_html_and_nothing_else_does() -> None:
    shown = slack_html("*bold* _it_ `a*b*` &lt;i&gt; <script> <https://x.test/?a=1&amp;copy=2|the run> <!here>")
    assert "<strong>bold</strong> <em>it</em> <code>a*b*</code> &lt;i&gt;" in shown
    assert "<script" not in shown
    assert '<a href="https://x.test/?a=1&amp;copy=2" rel="noreferrer">the run</a>' in shown
    assert shown.endswith("@here")


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", 'https://x.test/"onload="y'])
def test_an_address_that_is_no_web_address_never_becomes_a_link(address: str) -> None:
    assert "<a" not in slack_html(f"<{address}|click>")


def test_discord_marks_become_html_and_nothing_else_does() -> None:
    shown = discord_html("**5 of 9** <b>x</b> [run](https://x.test/a) https://y.test/b_c_d")
    assert "<strong>5 of 9</strong> &lt;b&gt;x&lt;/b&gt;" in shown
    assert '<a href="https://x.test/a" rel="noreferrer">run</a>' in shown
    assert '<a href="https://y.test/b_c_d" rel="noreferrer">https://y.test/b_c_d</a>' in shown


def test_a_slack_attachment_shows_its_colour_title_fields_button_and_footer() -> None:
    blocks = [
        header("Alert"),
        {"type": "section", "fields": [{"type": "mrkdwn", "text": "*Status*\nFAILED"}]},
        {
            "type": "actions",
            "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Open"}, "url": "http://x.test"}],
        },
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "Monitor"}]},
    ]
    (card,) = post_of(message(Vendor.SLACK, {"attachments": [{"color": "danger", "blocks": blocks}]})).cards
    assert (card.colour, card.title, card.fields) == ("#e01e5a", "Alert", [("<strong>Status</strong>", "FAILED")])
    assert (card.links, card.footer) == ([("Open", "http://x.test")], ["Monitor"])


def test_a_discord_embed_shows_its_colour_title_fields_and_footer() -> None:
    embed = {
        "title": "Alert",
        "color": 0xF59E0B,
        "fields": [{"name": "Status", "value": "FAILED"}],
        "footer": {"text": "Monitor"},
        "timestamp": "2026-11-23T13:00:00Z",
    }
    (card,) = post_of(message(Vendor.DISCORD, {"embeds": [embed]})).cards
    assert (card.colour, card.title, card.fields) == ("#f59e0b", "Alert", [("Status", "FAILED")])
    assert card.footer == ["Monitor", "2026-11-23 13:00 UTC"]
