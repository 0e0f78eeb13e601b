"""The moment a webhook says it was sent at: a replayed one is refused."""

from __future__ import annotations

import re

_SECONDS = re.compile(rb"[0-9]{1,12}")


def problem_with(sent: bytes | None, header: str, *, now: float, tolerance_seconds: float) -> str | None:
    """Why a moment (in whole seconds since 1970) is not now; None when it is."""
    if sent is None:
        return f"the header {header} is missing"
    if not _SECONDS.fullmatch(sent):
        return f"the header {header} is no moment in seconds"
    if abs(now - int(sent)) > tolerance_seconds:
        return f"the header {header} is more than {tolerance_seconds:g} s away from now"
    return None
