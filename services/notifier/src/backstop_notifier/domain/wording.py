"""Words and lengths: text that fits a limit, moments and durations as people read them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

_ELLIPSIS = "…"
_JOINER = "\u200d"
_MINUTE = 60
_HOUR = 3600
_DAY = 86400


def clean(text: str) -> str:
    """Without what neither JSON columns nor mails can carry: control characters (except new lines) and surrogates.

    Invisible formatting goes too (bidirectional overrides hide what a text says), but not the joiner inside emoji.
    """
    return "".join(map(_clean_character, text.replace("\r\n", "\n").replace("\r", "\n")))


def _clean_character(character: str) -> str:
    if character in {"\n", _JOINER} or character.isprintable():
        return character
    return " " if character.isspace() else ""


def one_line(text: str) -> str:
    """Clean, with all white space folded: safe for a header, a title or a name."""
    return " ".join(clean(text).split())


def units(text: str) -> int:
    """Length in UTF-16 units, the strictest way in which the vendors count."""
    return len(text.encode("utf-16-le", "replace")) // 2


def _as_it_is(text: str) -> str:
    return text


def fit(text: str, limit: int, escape: Callable[[str], str] = _as_it_is) -> str:
    """Escape `text` and cut it to `limit` units, never inside an escape sequence; a cut text ends in an ellipsis."""
    escaped = escape(text)
    if units(escaped) <= limit:
        return escaped
    kept: list[str] = []
    left = limit - units(_ELLIPSIS)
    for character in text:
        piece = escape(character)
        left -= units(piece)
        if left < 0:
            break
        kept.append(piece)
    return "".join(kept).rstrip() + _ELLIPSIS


def seconds_of(duration_ms: int) -> str:
    """`45.3s`."""
    return f"{duration_ms / 1000:.1f}s"


def span(length: timedelta) -> str:
    """`40 s`, `12 min`, `3 h 5 min`, `2 d 4 h`."""
    seconds = max(0, int(length.total_seconds()))
    if seconds < _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min"
    if seconds < _DAY:
        return f"{seconds // _HOUR} h {seconds % _HOUR // _MINUTE} min"
    return f"{seconds // _DAY} d {seconds % _DAY // _HOUR} h"


def clock(moment: datetime) -> str:
    """`3:45 PM UTC`; the moment must be in UTC."""
    return moment.strftime("%I:%M %p").lstrip("0") + " UTC"


def count_of(number: int, noun: str) -> str:
    """`1 credit`, `12 credits`, `1,200 credits`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
