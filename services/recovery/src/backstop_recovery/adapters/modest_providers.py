"""Providers as dry runs and late looks may ask them: behind the real work, which never waits long for a rehearsal.

Of what a provider can take at once, they use a quarter; where requests are paced, one question waits for its turn
at a time. While the pool would not begin a task of a provider (it asked for a moment's patience, or as much as its pace
allows is under way), neither do they: so a dry run tells what a run would find out, not that it was told to wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from backstop_recovery.adapters.guarded_providers import GuardedProviders
from backstop_recovery.application.ports import Reference
from backstop_recovery.domain.pace import Limit
from backstop_recovery.domain.verdict import Verdict

_LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class ModestProviders:
    """The same providers, with the same knowledge of who is down."""

    guarded: GuardedProviders
    share: int = 4
    pause: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep)
    _lanes: dict[str, asyncio.Semaphore] = field(default_factory=dict)

    async def check(self, reference: Reference) -> Verdict:
        """Ask when there is room."""
        async with self._lane(reference.provider):
            while self.guarded.room(reference.provider, 0).more <= 0:
                await self.pause(_LOOK_SECONDS)
            return await self.guarded.check_aside(reference)

    def _lane(self, provider: str) -> asyncio.Semaphore:
        if provider not in self._lanes:
            limit = self.guarded.limits.get(provider, Limit(self.guarded.concurrency))
            places = limit.concurrency // self.share if limit.pace is None else 1
            self._lanes[provider] = asyncio.Semaphore(max(1, places))
        return self._lanes[provider]
