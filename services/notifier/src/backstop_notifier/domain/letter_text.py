"""The plain text part of a mail: the same content as the HTML part, readable in a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from backstop_notifier.domain.letter import Letter

_WIDTH = 72


def letter_text(letter: Letter) -> str:
    """The text part. Links stand on lines of their own, so that mail programs find their ends."""
    return "\n\n".join(_parts(letter)) + "\n"


def _parts(letter: Letter) -> Iterator[str]:
    yield letter.greeting
    yield _wrapped(letter.lead)
    if letter.quote:
        quoted = "\n".join(f"> {line}" for line in _wrapped(letter.quote).split("\n"))
        yield f"{letter.quote_title}:\n{quoted}"
    if letter.note:
        yield _wrapped(letter.note)
    if letter.links:
        yield "\n".join([f"{letter.links_title}:", *(f"{link.label}:\n{link.url}" for link in letter.links)])
    if letter.steps:
        steps = (f"{number}. {step}" for number, step in enumerate(letter.steps, start=1))
        yield "\n".join([f"{letter.steps_title}:", *steps])
    if letter.button:
        yield f"{letter.button.label}:\n{letter.button.url}"
    if letter.tips:
        yield "\n".join(["Tips:", *(f"- {tip}" for tip in letter.tips)])
    yield _wrapped(letter.support)
    yield f"-- \n{letter.brand.name}"


def _wrapped(text: str) -> str:
    lines = (textwrap.fill(line, _WIDTH, break_long_words=False, break_on_hyphens=False) for line in text.split("\n"))
    return "\n".join(lines)
