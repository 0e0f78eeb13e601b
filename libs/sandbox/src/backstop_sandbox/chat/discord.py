"""Discord's webhook: what it accepts and how it words a refusal (discord.com/developers: webhook, embeds)."""

from collections.abc import Iterator
from typing import Any

EMPTY_MESSAGE = {"message": "Cannot send an empty message", "code": 50006}
INVALID_JSON = {"message": "The request body contains invalid JSON.", "code": 50109}
UNKNOWN_WEBHOOK = {"message": "Unknown Webhook", "code": 10015}
LONGEST_CONTENT = 2000
MOST_EMBEDS = 10
MOST_FIELDS = 25
LONGEST_EMBEDS = 6000
HIGHEST_COLOUR = 0xFFFFFF

Complaint = tuple[tuple[str, ...], str, str]


def discord_problem(body: object) -> dict[str, Any] | None:
    """Discord's 400 body for this message, or None when it would post it."""
    if not isinstance(body, dict):
        return INVALID_JSON
    complaints = list(_complaints(body))
    if complaints:
        return {"message": "Invalid Form Body", "code": 50035, "errors": _tree(complaints)}
    if not body.get("content") and not body.get("embeds"):
        return EMPTY_MESSAGE
    return None


def _complaints(body: dict[str, Any]) -> Iterator[Complaint]:
    yield from _text(body, ("content",), LONGEST_CONTENT)
    embeds = body.get("embeds") or []
    if not isinstance(embeds, list) or not all(isinstance(embed, dict) for embed in embeds):
        yield ("embeds",), "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType"
        return
    if len(embeds) > MOST_EMBEDS:
        yield ("embeds",), "BASE_TYPE_MAX_LENGTH", f"Must be {MOST_EMBEDS} or fewer in length."
    for index, embed in enumerate(embeds):
        yield from _embed(embed, ("embeds", str(index)))
    if sum(_length(embed) for embed in embeds) > LONGEST_EMBEDS:
        yield ("embeds",), "MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum size of {LONGEST_EMBEDS}"


def _embed(embed: dict[str, Any], path: tuple[str, ...]) -> Iterator[Complaint]:
    yield from _text(embed, (*path, "title"), 256)
    yield from _text(embed, (*path, "description"), 4096)
    for name, part, longest in (("footer", "text", 2048), ("author", "name", 256)):
        inner = embed.get(name)
        if isinstance(inner, dict):
            yield from _text(inner, (*path, name, part), longest, required=True)
    colour = embed.get("color", 0)
    if not isinstance(colour, int) or not 0 <= colour <= HIGHEST_COLOUR:
        yield (*path, "color"), "NUMBER_TYPE_MAX", f"int value should be less than or equal to {HIGHEST_COLOUR}."
    fields = embed.get("fields") or []
    if not isinstance(fields, list) or len(fields) > MOST_FIELDS:
        yield (*path, "fields"), "BASE_TYPE_MAX_LENGTH", f"Must be {MOST_FIELDS} or fewer in length."
        return
    for index, one in enumerate(fields):
        at = (*path, "fields", str(index))
        inner = one if isinstance(one, dict) else {}
        yield from _text(inner, (*at, "name"), 256, required=True)
        yield from _text(inner, (*at, "value"), 1024, required=True)


def _text(
    holder: dict[str, Any], path: tuple[str, ...], longest: int, *, required: bool = False
) -> Iterator[Complaint]:
    value = holder.get(path[-1])
    if value is None or value == "":
        if required:
            yield path, "BASE_TYPE_REQUIRED", "This field is required"
    elif not isinstance(value, str):
        yield path, "STRING_TYPE_CONVERT", "Could not interpret the value as string."
    elif len(value) > longest:
        yield path, "BASE_TYPE_MAX_LENGTH", f"Must be {longest} or fewer in length."


def _length(embed: dict[str, Any]) -> int:
    holders = [(embed.get("footer"), "text"), (embed.get("author"), "name")]
    fields = embed.get("fields")
    for one in fields if isinstance(fields, list) else []:
        holders += [(one, "name"), (one, "value")]
    texts = [embed.get("title"), embed.get("description")]
    texts += [holder.get(part) for holder, part in holders if isinstance(holder, dict)]
    return sum(len(text) for text in texts if isinstance(text, str))


def _tree(complaints: list[Complaint]) -> dict[str, Any]:
    """Discord nests each complaint under the keys and positions that lead to its field."""
    root: dict[str, Any] = {}
    for path, code, message in complaints:
        node = root
        for step in path:
            node = node.setdefault(step, {})
        node.setdefault("_errors", []).append({"code": code, "message": message})
    return root
