"""How much a session tried: counts that are told at its end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Tally:
    """Numbers by what was counted."""

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, what: str, number: int) -> None:
        self.counts[what] += number

    def __str__(self) -> str:
        return ", ".join(f"{number} {what}" for what, number in self.counts.items())
