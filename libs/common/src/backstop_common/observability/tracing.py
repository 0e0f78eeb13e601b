"""The W3C trace context of the current work, carried from tick to mail through outbox rows and message headers.

A trace starts at the first message that has none. Format: https://www.w3.org/TR/trace-context/#traceparent-header.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_TRACEPARENT = re.compile(r"^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$")
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


def current_traceparent() -> str:
    """The current trace context; a new one when there is none."""
    return _current.get() or f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


@contextmanager
def continued_trace(traceparent: str | None) -> Iterator[None]:
    """Work inside the trace of a message; a missing or malformed value starts a new one."""
    valid = traceparent if traceparent is not None and _TRACEPARENT.fullmatch(traceparent) else None
    token = _current.set(valid or current_traceparent())
    try:
        yield
    finally:
        _current.reset(token)
