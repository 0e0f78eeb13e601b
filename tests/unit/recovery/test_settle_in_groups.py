"""Resolutions are settled together, and the trouble of one is the trouble of nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from backstop_common.errors import TransientError
from backstop_recovery.application.settle_in_groups import SettleInGroups
from backstop_recovery.application.settle_tasks import Settled, SettleTasks
from backstop_recovery.domain.decision import Policy
from backstop_recovery.domain.ledger import LedgerError
from backstop_recovery.domain.resolution import Errored, Resolution
from tests.support.resolutions import a_task, completed, errored

_LONG = 30.0


@dataclass
class FakeSettleTasks:
    """Keeps what was settled; refuses whole groups as `refuse` says, and is away for the first `away` calls."""

    refuse: Callable[[Resolution], Exception | None] = lambda _: None
    away: int = 0
    calls: list[list[Resolution]] = field(default_factory=list)
    settled: list[Resolution] = field(default_factory=list)

    async def __call__(self, resolutions: Sequence[Resolution]) -> Settled:
        self.calls.append(list(resolutions))
        if self.away > 0:
            self.away -= 1
            raise TransientError("the database is not reachable")
        for resolution in resolutions:
            if (error := self.refuse(resolution)) is not None:
                raise error
        self.settled += resolutions
        return Settled(tuple(resolutions), (), ())

    @property
    def sizes(self) -> list[int]:
        return [len(group) for group in self.calls]


def _groups(fake: FakeSettleTasks, **more: Any) -> SettleInGroups:
    return SettleInGroups(cast("SettleTasks", fake), Policy(own_failures_until_attention=2), **more)


async def _settle_all(groups: SettleInGroups, resolutions: Sequence[Resolution]) -> list[BaseException | None]:
    return await asyncio.wait_for(
        asyncio.gather(*(groups.settle(resolution) for resolution in resolutions), return_exceptions=True), 10
    )


def _poor(*task_ids: UUID) -> Callable[[Resolution], Exception | None]:
    """Charges of these tasks are refused; recording them as an error of ours works."""

    def refuse(resolution: Resolution) -> Exception | None:
        if resolution.task.id in task_ids and not isinstance(resolution, Errored):
            return LedgerError(resolution.task.id, "charge of 30 does not fit")
        return None

    return refuse


async def test_a_full_group_goes_at_once() -> None:
    fake = FakeSettleTasks()
    await _settle_all(_groups(fake, group_size=3, longest_wait_seconds=_LONG), [completed() for _ in range(6)])
    assert fake.sizes == [3, 3]


async def test_a_group_that_is_not_full_goes_after_the_longest_wait() -> None:
    fake = FakeSettleTasks()
    await _settle_all(_groups(fake, group_size=100, longest_wait_seconds=0.01), [completed() for _ in range(7)])
    assert fake.sizes == [7]


async def test_the_next_group_gets_its_own_wait() -> None:
    fake = FakeSettleTasks()
    groups = _groups(fake, group_size=2, longest_wait_seconds=0.01)
    await _settle_all(groups, [completed(), completed()])
    await _settle_all(groups, [completed()])
    assert fake.sizes == [2, 1]


async def test_settle_returns_only_after_the_commit() -> None:
    committed = asyncio.Event()

    class Slow(FakeSettleTasks):
        async def __call__(self, resolutions: Sequence[Resolution]) -> Settled:
            await committed.wait()
            return await super().__call__(resolutions)

    settling = asyncio.create_task(_groups(Slow(), longest_wait_seconds=0).settle(completed()))
    done, _ = await asyncio.wait([settling], timeout=0.05)
    assert not done
    committed.set()
    await asyncio.wait_for(settling, 5)


async def test_a_refused_group_is_settled_one_by_one_and_the_refused_one_becomes_our_error() -> None:
    resolutions = [completed(a_task()) for _ in range(5)]
    poor = resolutions[2].task.id
    fake = FakeSettleTasks(refuse=_poor(poor))

    results = await _settle_all(_groups(fake, group_size=5), resolutions)

    assert results == [None] * 5
    assert fake.sizes == [5, 1, 1, 1, 1, 1, 1]
    recorded = {resolution.task.id: type(resolution) for resolution in fake.settled}
    assert recorded == {r.task.id: Errored if r.task.id == poor else type(r) for r in resolutions}


def _unstorable(task_id: UUID) -> Callable[[Resolution], Exception | None]:
    """The database refuses a value of this task, and quotes it."""

    def refuse(resolution: Resolution) -> Exception | None:
        if resolution.task.id == task_id and not isinstance(resolution, Errored):
            return DBAPIError("UPDATE tasks", {}, ValueError("invalid byte sequence in 'canary'"))
        return None

    return refuse


async def test_a_value_that_the_database_refuses_is_the_trouble_of_its_own_task_only() -> None:
    resolutions = [completed() for _ in range(3)]
    bad = resolutions[1].task.id
    fake = FakeSettleTasks(refuse=_unstorable(bad))

    results = await _settle_all(_groups(fake, group_size=3), resolutions)

    assert results == [None] * 3
    recorded = {resolution.task.id: type(resolution) for resolution in fake.settled}
    assert recorded == {r.task.id: Errored if r.task.id == bad else type(r) for r in resolutions}


async def test_the_values_that_the_database_quotes_are_not_recorded() -> None:
    refused = completed()
    fake = FakeSettleTasks(refuse=_unstorable(refused.task.id))
    await _settle_all(_groups(fake, longest_wait_seconds=0), [refused])
    (recorded,) = fake.settled
    assert "canary" not in repr(recorded)


async def test_one_that_cannot_be_recorded_at_all_does_not_hold_those_after_it() -> None:
    resolutions: list[Resolution] = [completed(), errored(), completed()]
    bad = resolutions[1].task.id
    fake = FakeSettleTasks(refuse=lambda r: LedgerError(bad, "never") if r.task.id == bad else None)

    results = await _settle_all(_groups(fake, group_size=3), resolutions)

    assert [type(result) for result in results] == [type(None), LedgerError, type(None)]
    assert fake.settled == [resolutions[0], resolutions[2]]


@pytest.mark.parametrize(("errors_before", "attention"), [(0, False), (1, True)])
async def test_a_refused_settlement_counts_until_a_person_has_to_look(errors_before: int, attention: bool) -> None:
    refused = completed(a_task(error_count=errors_before))
    fake = FakeSettleTasks(refuse=_poor(refused.task.id))
    await _settle_all(_groups(fake, longest_wait_seconds=0), [refused])
    (recorded,) = fake.settled
    assert isinstance(recorded, Errored)
    assert (recorded.code, recorded.own, recorded.needs_attention) == ("settlement_refused", True, attention)


async def test_an_error_of_ours_that_is_refused_too_reaches_its_waiter() -> None:
    unrecordable = errored()
    fake = FakeSettleTasks(refuse=lambda resolution: LedgerError(resolution.task.id, "never"))
    (error,) = await _settle_all(_groups(fake, longest_wait_seconds=0), [unrecordable])
    assert isinstance(error, LedgerError)


async def test_a_database_that_comes_back_is_waited_for() -> None:
    fake = FakeSettleTasks(away=2)
    results = await _settle_all(_groups(fake, group_size=3), [completed() for _ in range(3)])
    assert results == [None] * 3
    assert fake.sizes == [3, 3, 3]
    assert len(fake.settled) == 3


async def test_a_database_that_stays_away_reaches_everyone_who_waits() -> None:
    fake = FakeSettleTasks(away=1000)
    results = await _settle_all(_groups(fake, group_size=4, patience_seconds=0.15), [completed() for _ in range(4)])
    assert [type(result) for result in results] == [TransientError] * 4
    assert fake.settled == []
    assert 1 < len(fake.calls) < 5


async def test_an_unexpected_error_reaches_everyone_who_waits() -> None:
    fake = FakeSettleTasks(refuse=lambda _: AssertionError("a mistake of ours"))
    results = await _settle_all(_groups(fake, group_size=3), [completed() for _ in range(3)])
    assert [type(result) for result in results] == [AssertionError] * 3


async def test_a_cancellation_by_a_driver_leaves_everyone_who_waits_to_their_leases() -> None:
    class Disconnected(FakeSettleTasks):
        async def __call__(self, _: Sequence[Resolution]) -> Settled:
            raise asyncio.CancelledError

    results = await _settle_all(_groups(Disconnected(), group_size=2), [completed(), completed()])
    assert [type(result) for result in results] == [TransientError] * 2


async def test_after_an_error_the_next_group_is_settled() -> None:
    fake = FakeSettleTasks(away=1)
    groups = _groups(fake, longest_wait_seconds=0, patience_seconds=0)
    first = await _settle_all(groups, [completed()])
    second = await _settle_all(groups, [completed()])
    assert [type(first[0]), second[0]] == [TransientError, None]


async def test_a_waiter_that_is_cancelled_does_not_stop_its_group() -> None:
    fake = FakeSettleTasks()
    groups = _groups(fake, longest_wait_seconds=0.05)
    leaving, staying = (asyncio.create_task(groups.settle(completed())) for _ in range(2))
    await asyncio.wait([leaving], timeout=0.01)
    leaving.cancel()
    await asyncio.wait_for(staying, 5)
    assert leaving.cancelled()
    assert fake.sizes == [2]
