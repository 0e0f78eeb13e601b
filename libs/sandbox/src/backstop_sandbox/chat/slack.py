"""Slack's incoming webhook: what it accepts, in its own error words (docs.slack.dev: incoming webhooks, Block Kit)."""

from collections.abc import Iterator
from typing import Any

MOST_BLOCKS = 50
MOST_ATTACHMENTS = 100
MOST_FIELDS = 10
LONGEST_HEADER = 150
LONGEST_SECTION = 3000
LONGEST_FIELD = 2000
LONGEST_ELEMENTS = {"context": 10, "actions": 25}
LONGEST_MESSAGE = 13_200
BLOCK_TYPES = frozenset(
    {"header", "section", "divider", "context", "actions", "image", "markdown", "rich_text", "table", "video", "input"}
)


def slack_problem(body: object) -> str | None:
    """Slack's error word for this body, or None when it would post it."""
    return next(_problems(body), None) if isinstance(body, dict) else "invalid_payload"


def _problems(body: dict[str, Any]) -> Iterator[str]:
    attachments = body.get("attachments", [])
    if not isinstance(attachments, list) or not all(isinstance(one, dict) for one in attachments):
        yield "invalid_attachments"
        return
    if len(attachments) > MOST_ATTACHMENTS:
        yield "too_many_attachments"
    if not (_says_something(body) or attachments):
        yield "no_text"
    lists = [body.get("blocks", []), *(one.get("blocks", []) for one in attachments)]
    if not all(_blocks_fit(blocks) for blocks in lists):
        yield "invalid_blocks"
    if sum(_length(blocks) for blocks in lists) > LONGEST_MESSAGE:
        yield "msg_blocks_too_long"


def _says_something(body: dict[str, Any]) -> bool:
    text = body.get("text")
    return bool(isinstance(text, str) and text.strip()) or bool(body.get("blocks"))


def _blocks_fit(blocks: object) -> bool:
    return isinstance(blocks, list) and len(blocks) <= MOST_BLOCKS and all(_block_fits(block) for block in blocks)


def _block_fits(block: object) -> bool:
    if not isinstance(block, dict) or block.get("type") not in BLOCK_TYPES:
        return False
    kind = block["type"]
    if kind == "header":
        return _text_fits(block.get("text"), LONGEST_HEADER, plain=True)
    if kind == "section":
        return _section_fits(block)
    if kind in LONGEST_ELEMENTS:
        elements = block.get("elements")
        return isinstance(elements, list) and 1 <= len(elements) <= LONGEST_ELEMENTS[kind]
    return True


def _section_fits(block: dict[str, Any]) -> bool:
    text, fields = block.get("text"), block.get("fields")
    if text is None and not fields:
        return False
    if text is not None and not _text_fits(text, LONGEST_SECTION):
        return False
    if fields is None:
        return True
    return (
        isinstance(fields, list)
        and len(fields) <= MOST_FIELDS
        and all(_text_fits(one, LONGEST_FIELD) for one in fields)
    )


def _text_fits(text: object, longest: int, *, plain: bool = False) -> bool:
    if not isinstance(text, dict) or not isinstance(text.get("text"), str):
        return False
    kinds = {"plain_text"} if plain else {"plain_text", "mrkdwn"}
    return text.get("type") in kinds and 1 <= len(text["text"]) <= longest


def _length(value: object) -> int:
    """Characters of all texts below."""
    if isinstance(value, dict):
        own = value.get("text")
        below = (part for name, part in value.items() if name != "text" or not isinstance(own, str))
        return (len(own) if isinstance(own, str) else 0) + sum(_length(part) for part in below)
    return sum(_length(part) for part in value) if isinstance(value, list) else 0
