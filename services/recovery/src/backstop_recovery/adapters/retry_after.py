"""`Retry-After` in its two forms (RFC 9110, 10.2.3) and the `retry-after-ms` of some providers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_LONGEST_SECONDS = 86400.0
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,3})?")


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """How long the other side wants us to wait, at most a day; None when it does not say or cannot be understood.

    Args:
        headers: with lower-case names.
        now: what an HTTP-date is relative to.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _NUMBER.fullmatch(milliseconds):
        return min(float(milliseconds) / 1000.0, _LONGEST_SECONDS)
    text = headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(text):
        return min(float(text), _LONGEST_SECONDS)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), _LONGEST_SECONDS)
