"""Who may have how many of the pool's places. Pure.

The next place goes to whoever has the fewest, so that a huge backlog of one provider leaves others their share. What
one cannot use is the others'.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

_PLENTY = 1_000_000


@dataclass(frozen=True, slots=True)
class Room:
    """How many places more a provider can use.

    `last`: only those that nobody else wants, because it is not asked at present and its tasks would come to nothing.
    """

    more: int
    last: bool = False


def no_bounds(_: str, __: int) -> Room:
    """For providers that are asked without restraint."""
    return Room(_PLENTY)


def share(free: int, held: Mapping[str, int], rooms: Mapping[str, Room]) -> dict[str, int]:
    """`free` places among those who can use them; whoever gets none is left out.

    The fewest held go first, names decide between equals. Those who only take what is left come after all others.
    """
    shares: Counter[str] = Counter()
    waiting = [(room.last, held.get(name, 0), name) for name, room in rooms.items() if room.more > 0]
    heapq.heapify(waiting)
    for _ in range(free):
        if not waiting:
            break
        last, has, name = waiting[0]
        shares[name] += 1
        if shares[name] < rooms[name].more:
            heapq.heapreplace(waiting, (last, has + 1, name))
        else:
            heapq.heappop(waiting)
    return dict(shares)


@dataclass(slots=True)
class Places:
    """The places that providers hold, and their room for more: `room(provider, held)`."""

    room: Callable[[str, int], Room] = no_bounds
    held: Counter[str] = field(default_factory=Counter)

    @property
    def taken(self) -> int:
        """By all providers together."""
        return self.held.total()

    def take(self, provider: str) -> None:
        """One more."""
        self.held[provider] += 1

    def leave(self, provider: str) -> None:
        """One less."""
        self.held[provider] -= 1

    def rooms(self, providers: Iterable[str]) -> dict[str, Room]:
        """What each can use now."""
        return {provider: self.room(provider, self.held[provider]) for provider in providers}
