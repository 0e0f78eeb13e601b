"""Durations (`10m`), sizes (`2GiB`) and HTTP status ranges (`500-599`) as people write them in YAML.

Each parser raises `ValueError` with the accepted spellings.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}
_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB)?")
_BYTES = {"B": 1, None: 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_STATUSES = re.compile(r"([1-5]\d\d)(?:-([1-5]\d\d))?")


def parse_duration(value: object) -> float:
    """Seconds of `90`, `90s`, `10m`, `1h`, `30d`."""
    match = _DURATION.fullmatch(str(value).strip())
    if match is None or isinstance(value, bool):
        raise ValueError(f"{value!r} is not a duration; write for example 30s, 10m, 24h or 30d")
    return float(match[1]) * _SECONDS[match[2]]


def parse_size(value: object) -> int:
    """Bytes of `1024`, `8MiB`, `2GiB`."""
    match = _SIZE.fullmatch(str(value).strip())
    if match is None or isinstance(value, bool):
        raise ValueError(f"{value!r} is not a size; write for example 500KiB, 8MiB or 2GiB")
    return int(match[1]) * _BYTES[match[2]]


def parse_statuses(value: object) -> tuple[int, int]:
    """The first and last HTTP status of `404` or `500-599`."""
    match = _STATUSES.fullmatch(str(value).strip()) if not isinstance(value, (tuple, list)) else None
    if match is None:
        raise ValueError(f"{value!r} is not an HTTP status; write for example 404 or 500-599")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise ValueError(f"{value!r} runs backwards; write {last}-{first}")
    return first, last


Duration = Annotated[float, BeforeValidator(parse_duration)]
Size = Annotated[int, BeforeValidator(parse_size)]
Statuses = Annotated[tuple[int, int], BeforeValidator(parse_statuses)]
