"""Which part of a file a `Range` header asks for (RFC 9110, 14). Pure.

Several ranges or another unit count as no range at all, which the RFC allows.
"""

import re
from dataclasses import dataclass

ONE_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes [start, end) of a file."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    """The range lies behind the end of the file: 416."""


def requested_part(header: str | None, size: int) -> Part | Unsatisfiable | None:
    """None means the whole file."""
    match = ONE_RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        length = min(int(last), size)
        return Part(size - length, size) if length else Unsatisfiable()
    start = int(first)
    if start >= size:
        return Unsatisfiable()
    if last and int(last) < start:
        return None
    return Part(start, min(int(last) + 1, size) if last else size)
