"""How far one worker has come through the due tasks of one run. Pure.

Each claim goes on behind the last one, so that no claim passes again over what the run has checked already, however
much of a backlog stays open. What a walk leaves behind (tasks that others held in passing, tasks that came later) is
found by when it is due, not by walking again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

NEVER = datetime.max.replace(tzinfo=UTC)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the order of claims; `deadline` is `NEVER` for a task without one."""

    turn: int
    deadline: datetime
    submitted_at: datetime
    id: UUID


START = Position(-1, _LONG_AGO, _LONG_AGO, UUID(int=0))
"""Before every task: turns are not negative."""


@dataclass(frozen=True, slots=True)
class Walk:
    """Where the walk stands with each provider that has open tasks; `ahead` is empty once it is over."""

    ahead: dict[str, Position] = field(default_factory=dict)
    is_begun: bool = False
    look_back_at: float = 0.0

    def begin(self, providers: Iterable[str]) -> Walk:
        """At the first task of each provider."""
        return Walk(dict.fromkeys(providers, START), is_begun=True, look_back_at=self.look_back_at)

    def go_on(self, reached: Iterable[tuple[str, Position]], ended: Collection[str]) -> Walk:
        """Behind the furthest task reached with each provider, and without those that have no more."""
        ahead = dict(self.ahead)
        for provider, position in reached:
            ahead[provider] = max(position, ahead[provider])
        left = {provider: position for provider, position in ahead.items() if provider not in ended}
        return Walk(left, is_begun=True, look_back_at=self.look_back_at)

    def looked_back(self, next_at: float) -> Walk:
        """What was left behind need not be looked for before `next_at`, while the walk goes on."""
        return Walk(self.ahead, is_begun=True, look_back_at=next_at)
