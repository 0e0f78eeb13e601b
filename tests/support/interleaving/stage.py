"""The stage: moves two actors one step at a time, sees who waits for whose lock, and cuts connections.

Whether an actor waits is asked of PostgreSQL (`pg_blocking_pids`), not guessed from how long it takes. Two actors that
wait for each other are a `DeadlockError` at once, long before PostgreSQL's own detection would end one of them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import asyncpg

from tests.support.interleaving.actors import Actor

_FIRST_LOOK_SECONDS = 0.004
_LONGEST_STEP_SECONDS = 20.0


class DeadlockError(AssertionError):
    """Both actors wait for each other."""


class StuckError(AssertionError):
    """An actor neither came to its next step nor waits for the other one."""


@dataclass(slots=True)
class Stage:
    """Two actors and an observer on a connection of its own."""

    actors: tuple[Actor, Actor]
    observer: asyncpg.Connection
    told: list[str] = field(default_factory=list)
    """What was done so far, for whoever reads a failure."""

    def other(self, actor: Actor) -> Actor:
        return self.actors[1] if actor is self.actors[0] else self.actors[0]

    async def begin(self, actor: Actor) -> None:
        """Bring an actor that has just started to its first gate."""
        await self._settle_down(actor)

    async def proceed(self, actor: Actor) -> None:
        """Let the actor do its pending step; returns when it has come to the next one, or waits for the other.

        When the step let go of locks, the other one, if it waited, has come to its next step too.
        """
        step = actor.pending
        assert step is not None
        self.told.append(f"{actor.name}: {step}")
        actor.go_on()
        await self._settle_down(actor)
        if step.ends:
            await self._release(self.other(actor))

    async def cut(self, actor: Actor) -> None:
        """End the actor's connection as seen from outside; its locks are gone when this returns."""
        self.told.append(f"{actor.name}: its connection is cut before {actor.pending or 'its end is told'}")
        if actor.backend is not None:
            await self._terminate(actor.backend)
        await self._release(self.other(actor))

    async def _terminate(self, backend: int) -> None:
        await self.observer.execute("SELECT pg_terminate_backend($1)", backend)
        async with asyncio.timeout(_LONGEST_STEP_SECONDS):
            while await self.observer.fetchval("SELECT 1 FROM pg_stat_activity WHERE pid = $1", backend):  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def _settle_down(self, actor: Actor) -> None:
        patience = _FIRST_LOOK_SECONDS
        for _ in range(int(_LONGEST_STEP_SECONDS / _FIRST_LOOK_SECONDS)):
            if await actor.rests(within=patience):
                return
            if await self._waits_for_the_other(actor):
                actor.is_waiting_for_a_lock = True
                self.told.append(f"{actor.name}: waits for a lock")
                return
        raise StuckError("\n".join([f"{actor.name} does not come to its next step", *self.told]))

    async def _waits_for_the_other(self, actor: Actor) -> bool:
        other = self.other(actor)
        blockers = await self.observer.fetchval("SELECT pg_blocking_pids($1)", actor.backend)
        if other.backend not in (blockers or ()):
            return False
        if other.is_waiting_for_a_lock:
            raise DeadlockError("\n".join(["both wait for each other", *self.told, f"{actor.name}: waits as well"]))
        return True

    async def _release(self, waiting: Actor) -> None:
        if waiting.is_waiting_for_a_lock:
            async with asyncio.timeout(_LONGEST_STEP_SECONDS):
                await waiting.rests(within=_LONGEST_STEP_SECONDS)
