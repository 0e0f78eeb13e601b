"""One scenario on one database: every order of its two actors, and a crash of each at every point.

After an order the scenario's own check and the truths that hold always are asked. After a crash the leases are let
expire, a successor works with the usual code until nothing is left, and the truths at rest are asked.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any

import asyncpg

from backstop_common.database import Transactions, create_engine
from backstop_common.errors import TransientError
from tests.support.interleaving import truths
from tests.support.interleaving.actors import Actor
from tests.support.interleaving.exploring import Explored, explore
from tests.support.interleaving.memory import Memory
from tests.support.interleaving.scenario import Plan, Scenario, Setting
from tests.support.interleaving.stage import Stage
from tests.support.recovery import DictAssets, RecoveryUnderTest


class Aftermath(Enum):
    """What becomes of an actor whose connection is cut."""

    DIES = "its process dies"
    TRIES_AGAIN = "it lives and tries again"


class Other(Enum):
    """What the other actor does meanwhile."""

    COMES_LATER = "the other comes later"
    IS_THERE = "the other is there, and waits where it has to"


@dataclass(frozen=True, slots=True)
class Crash:
    """Where and how."""

    actor: int
    position: int
    aftermath: Aftermath
    other: Other


@dataclass(slots=True)
class Experiment:
    """A prepared scenario with its actors."""

    scenario: Scenario
    plan: Plan
    setting: Setting
    memory: Memory
    actors: tuple[Actor, Actor]
    _observer: asyncpg.Connection
    asked: Mapping[str, str] = field(default_factory=lambda: truths.ALWAYS)
    """The truths after an order; a test of the explorer itself has none."""

    async def every_order(self, *, most_preemptions: int | None = None, most_schedules: int | None = None) -> Explored:
        """Each order is followed by the check and the truths."""
        return await explore(self._one_order, most_preemptions=most_preemptions, most_schedules=most_schedules)

    async def every_crash(self, *, every: int = 1) -> int:
        """Each actor is cut before every step and after its last one; with `every`, one in so many of all ways."""
        ways = [
            Crash(actor, position, aftermath, other)
            for actor in (0, 1)
            for position in range(await self._count_steps(actor) + 1)
            for aftermath, other in itertools.product(Aftermath, Other)
        ]
        chosen = ways[::every]
        for crash in chosen:
            await self._crash(crash)
        return len(chosen)

    async def cut(self, *, actor: int, position: int) -> None:
        """Nothing but the cut: the actor dies before this step, and the other one never comes."""
        stage = await self._new_stage()
        try:
            await self._bring_to(stage, actor, position)
            await stage.cut(self.actors[actor])
        finally:
            await self._clear()

    async def _one_order(self, drive: Callable[[Stage], Awaitable[bool]]) -> None:
        stage = await self._new_stage()
        try:
            for index in (0, 1):
                self.actors[index].perform(self._work(index))
            if await drive(stage):
                results = (self.actors[0].result, self.actors[1].result)
                self._expect_answers(stage, results)
                await self._expect(stage, self.asked, partial(self._check, results))
        finally:
            await self._clear()

    async def _count_steps(self, actor: int) -> int:
        stage = await self._new_stage()
        try:
            self.actors[actor].perform(self._work(actor))
            await stage.begin(self.actors[actor])
            count = 0
            while self.actors[actor].pending is not None:
                await stage.proceed(self.actors[actor])
                count += 1
            return count
        finally:
            await self._clear()

    async def _crash(self, crash: Crash) -> None:
        stage = await self._new_stage()
        stage.told.append(str(crash))
        victim, other = self.actors[crash.actor], self.actors[1 - crash.actor]
        try:
            await self._bring_to(stage, crash.actor, crash.position)
            if crash.other is Other.IS_THERE:
                await self._goes_as_far_as_it_can(stage, other, 1 - crash.actor)
            await stage.cut(victim)
            await self._afterwards(stage, crash, victim)
            if crash.other is Other.COMES_LATER:
                other.perform(self._work(1 - crash.actor), freely=True)
            self._expect_answers(stage, (await other.ends(),))
            await self._recover(crash)
            await self._expect(stage, truths.AT_REST)
        finally:
            await self._clear()

    async def _bring_to(self, stage: Stage, actor: int, position: int) -> None:
        self.actors[actor].perform(self._work(actor))
        await stage.begin(self.actors[actor])
        for _ in range(position):
            await stage.proceed(self.actors[actor])

    async def _goes_as_far_as_it_can(self, stage: Stage, other: Actor, index: int) -> None:
        other.perform(self._work(index))
        await stage.begin(other)
        while other.can_go_on:
            await stage.proceed(other)

    async def _afterwards(self, stage: Stage, crash: Crash, victim: Actor) -> None:
        other = self.actors[1 - crash.actor]
        other.go_on_freely()
        if crash.aftermath is Aftermath.DIES:
            victim.die()
            await victim.leave()
            return
        victim.go_on_freely()
        result = await victim.ends()
        if isinstance(result, BaseException) and not isinstance(result, self.plan.refusals):
            assert isinstance(result, TransientError), "\n".join([f"a lost connection became {result!r}", *stage.told])
        victim.perform(self._work(crash.actor), freely=True)
        self._expect_answers(stage, (await victim.ends(),))

    async def _recover(self, crash: Crash) -> None:
        await self.setting.lose_leases()
        successor = self.setting.worker()
        if self.plan.is_repeated and crash.aftermath is Aftermath.DIES:
            await self.plan.actions[crash.actor](successor)
        await _work_through(successor)
        await successor.start_run("the next one")
        await _work_through(successor)

    async def _new_stage(self) -> Stage:
        await self.memory.go_back()
        return Stage(self.actors, self._observer)

    def _work(self, index: int) -> Callable[[], Awaitable[Any]]:
        return partial(self.plan.actions[index], self.setting.worker(self.actors[index].transactions))

    def _expect_answers(self, stage: Stage, results: tuple[object, ...]) -> None:
        for result in results:
            is_answer = not isinstance(result, BaseException) or isinstance(result, self.plan.refusals)
            assert is_answer, "\n".join([f"an actor met {result!r}", *stage.told])

    async def _expect(
        self, stage: Stage, questions: Mapping[str, str], check: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        found = await truths.broken(self._observer, questions) if questions else {}
        assert not found, "\n".join([str(found), *stage.told])
        if check is not None:
            try:
                await check()
            except AssertionError as error:
                raise AssertionError("\n".join([str(error), *stage.told])) from error

    async def _check(self, results: tuple[object, object]) -> None:
        if self.plan.check is not None:
            await self.plan.check(results)

    async def _clear(self) -> None:
        for actor in self.actors:
            actor.die()
        for actor in self.actors:
            await actor.leave()


async def _work_through(worker: RecoveryUnderTest) -> None:
    sweep = worker.sweep()
    while await sweep.run_once():
        pass
    late = worker.check_late()
    while await late.run_once():
        pass


@asynccontextmanager
async def experiment(scenario: Scenario, database_url: str) -> AsyncIterator[Experiment]:
    """Prepare a scenario on an empty, migrated database of its own."""
    engine = create_engine(database_url, application_name="setting", pool_size=2)
    observer = await asyncpg.connect(database_url)
    memory = await Memory.of(observer)
    actors = (Actor("first", database_url, memory.schema), Actor("second", database_url, memory.schema))
    setting = Setting(Transactions(engine), DictAssets())
    try:
        await setting.factory.job()
        plan = await scenario.prepare(setting)
        await memory.keep()
        yield Experiment(scenario, plan, setting, memory, actors, observer)
    finally:
        for actor in actors:
            await actor.close()
        await engine.dispose()
        await observer.close()
