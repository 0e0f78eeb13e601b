"""The two roots of everything unexpected, split by remedy, and the one error that stops a start.

`TransientError`: the same call may succeed later; callers retry with back-off. `PermanentError`: it will not; callers
record it and go on. Adapters translate third-party exceptions into these at the line where they occur.
"""

from __future__ import annotations


class TransientError(Exception):
    """Worth trying again; `retry_after_seconds` is the other side's own wish, when it gave one."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class PermanentError(Exception):
    """Trying again changes nothing."""


class ConfigurationError(Exception):
    """A setting is missing or wrong. `str()` is one sentence that names the setting and the remedy."""
