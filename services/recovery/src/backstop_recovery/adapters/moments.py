"""Moments as providers write them: seconds or milliseconds since 1970, or ISO 8601 with a zone.

A time without a zone could be anybody's, so it is none; nothing here raises.
"""

from __future__ import annotations

from datetime import UTC, datetime

_FIRST_SECONDS, _LAST_SECONDS = 1_000_000_000, 100_000_000_000
_MILLISECONDS = 1000


def moment_of(value: object) -> datetime | None:
    """The moment in UTC, or None when it is not one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value.strip()
        return moment_of(int(text)) if text.isascii() and text.isdecimal() and len(text) < 20 else _from_iso(text)  # noqa: PLR2004 - longer than any moment
    if not isinstance(value, (int, float)):
        return None
    seconds = value if value < _LAST_SECONDS else value // _MILLISECONDS
    return datetime.fromtimestamp(seconds, UTC) if _FIRST_SECONDS <= seconds < _LAST_SECONDS else None


def _from_iso(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
