"""Why an output could not be copied, where trying the same address again changes nothing."""

from __future__ import annotations

from backstop_common.errors import PermanentError


class OutputGoneError(PermanentError):
    """The file host no longer has the file."""


class OutputRefusedError(PermanentError):
    """The address is forbidden, the content is no media, or it is larger than allowed."""
