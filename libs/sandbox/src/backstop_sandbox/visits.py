"""Who came to `/elsewhere`, where hostile redirects lead: each visit with all that the visitor gave away.

The newest thousand are kept, in memory only.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

MOST_VISITS = 1000


@dataclass(frozen=True, slots=True)
class Visit:
    """One request as it arrived; header names in lower case."""

    host: str
    path: str
    headers: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        return {"host": self.host, "path": self.path, "headers": self.headers}


@dataclass(frozen=True, slots=True)
class Visits:
    """Oldest first."""

    kept: deque[Visit] = field(default_factory=lambda: deque(maxlen=MOST_VISITS))

    def add(self, visit: Visit) -> None:
        self.kept.append(visit)

    def clear(self) -> None:
        self.kept.clear()

    def as_json(self) -> list[dict[str, Any]]:
        return [visit.as_json() for visit in self.kept]
