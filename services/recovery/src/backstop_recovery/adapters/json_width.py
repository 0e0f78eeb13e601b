"""How many values a JSON text may hold, counted before it is parsed. Pure.

A value of three bytes (`{},`) becomes an object of seventy: eight million bytes of them would take all the memory that
recovery promises not to take. Text in strings counts as well, which no honest answer comes near.
"""

from __future__ import annotations

_MOST_VALUES = 250_000
_SHORTEST_VALUE = 2


def is_sprawling(text: bytes) -> bool:
    """Whether a text may hold more values than are taken in."""
    if len(text) < _MOST_VALUES * _SHORTEST_VALUE:
        return False
    return sum(text.count(mark) for mark in (b",", b"[", b"{")) > _MOST_VALUES
