"""What a chat message looks like on the sandbox's page: a card with a colour bar, title, lines, fields and footer."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from backstop_sandbox.chat.marks import discord_html, slack_html
from backstop_sandbox.chat.room import ChatMessage, Vendor

HEX_COLOUR = re.compile(r"#?([0-9A-Fa-f]{6})")
NAMED_COLOURS = {"good": "#2eb67d", "warning": "#ecb22e", "danger": "#e01e5a"}
NO_COLOUR = "#9aa4b2"


@dataclass(slots=True)
class Card:
    """Pieces are finished HTML; fields are (name, value)."""

    colour: str = NO_COLOUR
    title: Markup | None = None
    title_url: str | None = None
    lines: list[Markup] = field(default_factory=list)
    fields: list[tuple[Markup, Markup]] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    footer: list[Markup] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Post:
    """One message as the page shows it."""

    message: ChatMessage
    text: Markup | None
    cards: list[Card]


def post_of(message: ChatMessage) -> Post:
    match message.vendor:
        case Vendor.SLACK:
            return _slack_post(message)
        case Vendor.DISCORD:
            return _discord_post(message)


def _slack_post(message: ChatMessage) -> Post:
    body = message.body
    attachments = [_slack_attachment(one) for one in _objects(body.get("attachments"))]
    blocks = _objects(body.get("blocks"))
    cards = [_slack_blocks(blocks, NO_COLOUR), *attachments] if blocks else attachments
    # With blocks, Slack shows the text in notifications only.
    return Post(message, None if blocks else _piece(body.get("text"), slack_html), cards)


def _slack_attachment(attachment: dict[str, Any]) -> Card:
    colour = str(attachment.get("color") or "")
    card = _slack_blocks(_objects(attachment.get("blocks")), NAMED_COLOURS.get(colour) or _hex(colour))
    card.title = card.title or _piece(attachment.get("title"), slack_html)
    card.title_url = _web_address(attachment.get("title_link"))
    card.lines += _pieces([attachment.get("text")], slack_html)
    for one in _objects(attachment.get("fields")):
        card.fields.append((slack_html(str(one.get("title", ""))), slack_html(str(one.get("value", "")))))
    card.footer += _pieces([attachment.get("footer")], slack_html)
    return card


def _slack_blocks(blocks: list[dict[str, Any]], colour: str) -> Card:
    card = Card(colour)
    for block in blocks:
        _add_slack_block(card, block)
    return card


def _add_slack_block(card: Card, block: dict[str, Any]) -> None:
    text = _slack_text(block.get("text"))
    match block.get("type"):
        case "header" if card.title is None:
            card.title = text
        case "context":
            card.footer += [piece for one in _objects(block.get("elements")) if (piece := _slack_text(one))]
        case "actions":
            card.links += _buttons(_objects(block.get("elements")))
        case _:
            card.lines += [text] if text else []
            card.fields += [_split_field(one) for one in _objects(block.get("fields"))]


def _slack_text(text: object) -> Markup | None:
    """A text object, or a text standing directly in a block or element."""
    inner = text.get("text") if isinstance(text, dict) else text
    return slack_html(inner) if isinstance(inner, str) and inner else None


def _split_field(text: dict[str, Any]) -> tuple[Markup, Markup]:
    """Slack's fields have no name; by custom the first line is one."""
    name, _, value = str(text.get("text", "")).partition("\n")
    return slack_html(name), slack_html(value)


def _buttons(elements: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for element in elements:
        address, label = _web_address(element.get("url")), element.get("text")
        if address and isinstance(label, dict):
            yield str(label.get("text", address)), address


def _discord_post(message: ChatMessage) -> Post:
    cards = [_discord_embed(embed) for embed in _objects(message.body.get("embeds"))]
    return Post(message, _piece(message.body.get("content"), discord_html), cards)


def _discord_embed(embed: dict[str, Any]) -> Card:
    colour = embed.get("color")
    footer = embed.get("footer")
    return Card(
        colour=f"#{colour:06x}" if isinstance(colour, int) else NO_COLOUR,
        title=_piece(embed.get("title"), discord_html),
        title_url=_web_address(embed.get("url")),
        lines=_pieces([embed.get("description")], discord_html),
        fields=[
            (discord_html(str(one.get("name", ""))), discord_html(str(one.get("value", ""))))
            for one in _objects(embed.get("fields"))
        ],
        footer=_pieces(
            [footer.get("text") if isinstance(footer, dict) else None, _readable(embed.get("timestamp"))], discord_html
        ),
    )


def _readable(timestamp: object) -> object:
    try:
        moment = datetime.fromisoformat(str(timestamp))
    except ValueError:
        return timestamp
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _piece(text: object, render: Callable[[str], Markup]) -> Markup | None:
    return render(text) if isinstance(text, str) and text else None


def _pieces(texts: list[object], render: Callable[[str], Markup]) -> list[Markup]:
    return [piece for text in texts if (piece := _piece(text, render))]


def _objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _web_address(value: object) -> str | None:
    return value if isinstance(value, str) and value.startswith(("http://", "https://")) else None


def _hex(colour: str) -> str:
    match = HEX_COLOUR.fullmatch(colour)
    return f"#{match[1]}" if match else NO_COLOUR
