"""The pool keeps its places busy, asks the database no more than it has to, and ends in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from backstop_common.errors import TransientError
from backstop_recovery.application.claim_tasks import Claim
from backstop_recovery.application.sweep import Sweep
from backstop_recovery.domain.places import Places, Room, no_bounds, share
from backstop_recovery.domain.resolution import Resolution
from backstop_recovery.domain.task import Task
from backstop_recovery.domain.walk import Walk
from tests.support.polling import eventually
from tests.support.resolutions import a_task, completed


@dataclass
class World:
    """All that a sweep talks to, in dicts and lists. A task named in `gates` ends when its gate is opened."""

    due: dict[UUID, list[Task]] = field(default_factory=dict)
    alone: dict[UUID, Task] = field(default_factory=dict)
    gates: dict[UUID, asyncio.Event] = field(default_factory=dict)
    refuse_claims: int = 0
    refuse_single_claims: int = 0
    beats: int = 0
    claims: list[tuple[UUID, int]] = field(default_factory=list)
    settled: list[UUID] = field(default_factory=list)
    finish_asked: list[UUID] = field(default_factory=list)
    finished: set[UUID] = field(default_factory=set)
    held_by_others: set[UUID] = field(default_factory=set)
    renewed: list[list[UUID]] = field(default_factory=list)
    failures: dict[UUID, Exception] = field(default_factory=dict)

    async def next_of_run(self, run_id: UUID, walk: Walk, places: Places, *, limit: int) -> Claim:
        self.claims.append((run_id, limit))
        if self.refuse_claims > 0:
            self.refuse_claims -= 1
            raise TransientError("the database is not reachable")
        waiting = self.due.get(run_id, [])
        rooms = places.rooms({task.provider for task in waiting})
        shares = share(limit, places.held, rooms)
        taken = [
            task
            for provider, count in shares.items()
            for task in [task for task in waiting if task.provider == provider][:count]
        ]
        self.due[run_id] = [task for task in waiting if task not in taken]
        return Claim(taken, walk)

    async def one(self, task_id: UUID) -> Task | None:
        if self.refuse_single_claims > 0:
            self.refuse_single_claims -= 1
            raise TransientError("the database is not reachable")
        return self.alone.pop(task_id, None)

    async def open_among(self, task_ids: Iterable[UUID]) -> dict[UUID, str]:
        return {task_id: self.alone[task_id].provider for task_id in task_ids if task_id in self.alone}

    async def resolve(self, task: Task) -> Resolution:
        if task.id in self.gates:
            await self.gates[task.id].wait()
        return completed(task)

    async def settle(self, resolution: Resolution) -> None:
        if resolution.task.id in self.failures:
            raise self.failures[resolution.task.id]
        self.settled.append(resolution.task.id)

    async def beat(self) -> list[UUID]:
        self.beats += 1
        return [run for run in self.due if run not in self.finished]

    async def if_done(self, run_id: UUID) -> bool:
        self.finish_asked.append(run_id)
        if not self.due[run_id] and run_id not in self.held_by_others:
            self.finished.add(run_id)
        return run_id in self.finished

    async def renew(self, tasks: Iterable[Task]) -> None:
        self.renewed.append([task.id for task in tasks])

    def add_run(self, count: int) -> UUID:
        run = uuid4()
        self.due[run] = [a_task(run_id=run) for _ in range(count)]
        return run

    def hold(self, *tasks: Task) -> None:
        for task in tasks:
            self.gates[task.id] = asyncio.Event()

    def open_all(self) -> None:
        for gate in self.gates.values():
            gate.set()


def _sweep(
    world: World, *, concurrency: int = 8, batch_size: int = 100, room: Callable[[str, int], Room] = no_bounds
) -> Sweep:
    return Sweep(
        claim_tasks=cast("Any", world),
        resolve_task=cast("Any", world.resolve),
        settle=cast("Any", world),
        finish_run=cast("Any", world),
        beat_active_runs=cast("Any", world.beat),
        renew=cast("Any", world.renew),
        concurrency=concurrency,
        batch_size=batch_size,
        places=Places(room),
    )


async def _turn_until_idle(sweep: Sweep) -> int:
    turns = 0
    async with asyncio.timeout(10):
        while await sweep.run_once():
            turns += 1
    return turns


async def test_nothing_to_do_is_no_more_work() -> None:
    assert not await _sweep(World()).run_once()


async def test_everything_due_is_settled_and_the_run_ended_once() -> None:
    world = World()
    run = world.add_run(50)
    expected = {task.id for task in world.due[run]}
    await _turn_until_idle(_sweep(world))
    assert set(world.settled) == expected
    assert len(world.settled) == 50
    assert world.finished == {run}
    assert world.finish_asked == [run]


async def test_no_more_tasks_are_claimed_than_there_are_places() -> None:
    world = World()
    run = world.add_run(50)
    world.hold(*world.due[run])
    sweep = _sweep(world, concurrency=8, batch_size=5)
    turning = asyncio.create_task(_turn_until_idle(sweep))
    await asyncio.wait([turning], timeout=0.1)
    assert sum(len(tasks) for tasks in world.due.values()) == 50 - 8
    assert {limit for _, limit in world.claims} <= {5, 3}
    world.open_all()
    await turning
    assert len(world.settled) == 50


async def test_a_slow_task_holds_one_place_only() -> None:
    world = World()
    run = world.add_run(40)
    slow = world.due[run][0]
    world.hold(slow)
    turning = asyncio.create_task(_turn_until_idle(_sweep(world, concurrency=4)))
    await asyncio.wait([turning], timeout=0.5)
    assert len(world.settled) == 39
    assert world.finished == set()
    world.open_all()
    await turning
    assert world.finished == {run}


async def test_a_turn_ends_although_every_place_is_slow() -> None:
    world = World()
    run = world.add_run(3)
    world.hold(*world.due[run])
    turn = asyncio.create_task(_sweep(world, concurrency=1).run_once())
    done, _ = await asyncio.wait([turn], timeout=5)
    world.open_all()
    assert done
    assert await turn


async def test_a_run_with_nothing_left_ends_although_a_task_outside_of_it_is_slow() -> None:
    world = World()
    run = world.add_run(0)
    requested = a_task()
    world.alone[requested.id] = requested
    world.hold(requested)
    sweep = _sweep(world)
    sweep.request(requested.id)
    turning = asyncio.create_task(_turn_until_idle(sweep))
    try:
        await eventually(lambda: world.finished == {run}, within=5)
        assert world.settled == []
    finally:
        world.open_all()
        await turning


async def test_a_run_with_nothing_left_ends_although_another_run_is_slow() -> None:
    world = World()
    empty, slow = world.add_run(0), world.add_run(1)
    world.hold(*world.due[slow])
    turning = asyncio.create_task(_turn_until_idle(_sweep(world)))
    try:
        await eventually(lambda: world.finished == {empty}, within=5)
    finally:
        world.open_all()
        await turning
    assert world.finished == {empty, slow}


async def test_a_pool_that_only_waits_does_not_ask_the_database_in_a_circle() -> None:
    world = World()
    run = world.add_run(1)
    world.hold(*world.due[run])
    turning = asyncio.create_task(_turn_until_idle(_sweep(world)))
    await asyncio.wait([turning], timeout=0.5)
    assert world.beats <= 3
    world.open_all()
    await turning


async def test_a_run_whose_tasks_others_hold_is_no_busy_loop() -> None:
    world = World()
    run = world.add_run(1)
    world.due[run].clear()
    world.held_by_others.add(run)
    assert not await _sweep(world).run_once()
    assert world.finished == set()


async def test_a_requested_task_goes_before_the_tasks_of_runs() -> None:
    world = World()
    run = world.add_run(20)
    requested = a_task()
    world.alone[requested.id] = requested
    sweep = _sweep(world, concurrency=4)
    sweep.request(requested.id)
    await sweep.run_once()
    assert requested.id in world.settled[:4]
    assert world.claims[0] == (run, 3)
    await _turn_until_idle(sweep)


async def test_a_requested_task_that_has_ended_is_forgotten() -> None:
    sweep = _sweep(World())
    sweep.request(uuid4())
    assert not await sweep.run_once()


async def test_a_requested_check_survives_a_database_that_is_away_for_a_moment() -> None:
    world = World(refuse_single_claims=1)
    requested = a_task()
    world.alone[requested.id] = requested
    sweep = _sweep(world)
    sweep.request(requested.id)
    with pytest.raises(TransientError):
        await sweep.run_once()
    await _turn_until_idle(sweep)
    assert world.settled == [requested.id]


@pytest.mark.parametrize("error", [TransientError("away"), RuntimeError("a mistake")], ids=["transient", "mistake"])
async def test_one_failing_task_never_stops_the_others(error: Exception) -> None:
    world = World()
    run = world.add_run(10)
    bad = world.due[run][4].id
    world.failures[bad] = error
    await _turn_until_idle(_sweep(world))
    assert len(world.settled) == 9
    assert bad not in world.settled


async def test_a_claim_that_failed_is_made_again_at_the_next_turn() -> None:
    world = World(refuse_claims=1)
    world.add_run(3)
    sweep = _sweep(world)
    with pytest.raises(TransientError):
        await sweep.run_once()
    await _turn_until_idle(sweep)
    assert len(world.settled) == 3


async def test_leases_are_renewed_for_exactly_what_is_in_flight() -> None:
    world = World()
    run = world.add_run(3)
    slow = world.due[run][1]
    world.hold(slow)
    sweep = _sweep(world)
    turning = asyncio.create_task(_turn_until_idle(sweep))
    await asyncio.wait([turning], timeout=0.1)
    assert not await sweep.renew_leases()
    world.open_all()
    await turning
    await sweep.renew_leases()
    assert world.renewed == [[slow.id], []]


async def test_draining_lets_what_is_in_flight_end() -> None:
    world = World()
    run = world.add_run(3)
    world.hold(*world.due[run])
    sweep = _sweep(world)
    await sweep.run_once()
    draining = asyncio.create_task(sweep.drain())
    await asyncio.wait([draining], timeout=0.05)
    assert not draining.done()
    world.open_all()
    await draining
    assert len(world.settled) == 3


async def test_draining_an_idle_pool_returns_at_once() -> None:
    await asyncio.wait_for(_sweep(World()).drain(), 1)


async def test_a_slow_provider_holds_its_own_places_and_never_those_of_others() -> None:
    world = World()
    run = world.add_run(0)
    slow = [a_task(run_id=run, provider="slow") for _ in range(50)]
    quick = [a_task(run_id=run, provider="quick") for _ in range(20)]
    world.due[run] = [*slow, *quick]
    world.hold(*slow)
    sweep = _sweep(world, concurrency=8, room=lambda _, held: Room(5 - held))
    turning = asyncio.create_task(_turn_until_idle(sweep))
    await eventually(lambda: len(world.settled) == 20, within=5)
    assert set(world.settled) == {task.id for task in quick}
    assert sum(task.provider == "slow" for task in world.due[run]) == 50 - 5
    world.open_all()
    await turning
    assert len(world.settled) == 70


async def test_places_are_shared_evenly_at_first() -> None:
    world = World()
    run = world.add_run(0)
    world.due[run] = [a_task(run_id=run, provider=name) for name in ("slow", "quick") for _ in range(50)]
    world.hold(*world.due[run])
    sweep = _sweep(world, concurrency=8)
    turning = asyncio.create_task(_turn_until_idle(sweep))
    await eventually(lambda: len(world.due[run]) == 100 - 8, within=5)
    assert sweep.places.held == {"slow": 4, "quick": 4}
    world.open_all()
    await turning


async def test_what_was_claimed_of_a_run_is_forgotten_when_it_is_over() -> None:
    world = World()
    world.add_run(3)
    sweep = _sweep(world)
    await _turn_until_idle(sweep)
    assert len(world.finished) == 1
    assert sweep._walks == {}
