"""A scenario: what two actors do at once, and the setting it begins in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from backstop_common.database import Transactions
from backstop_recovery.domain.resolution import Resolution
from backstop_recovery.domain.task import Task
from backstop_recovery.domain.verdict import Failed, Verdict
from tests.support.factories import Factory
from tests.support.recovery import DictAssets, RecoveryUnderTest

Action = Callable[[RecoveryUnderTest], Awaitable[Any]]

LEASE_SECONDS = 7200.0
"""Longer than any exploration: a lease ends in a scenario when the scenario says so."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a scenario is prepared with; it works on the database without any gate."""

    transactions: Transactions
    assets: DictAssets

    @property
    def factory(self) -> Factory:
        return Factory(self.transactions)

    def worker(self, transactions: Transactions | None = None) -> RecoveryUnderTest:
        """A recovery worker, without a gate unless it gets an actor's transactions."""
        return RecoveryUnderTest(transactions or self.transactions, assets=self.assets, lease_seconds=LEASE_SECONDS)

    async def run(self, slot: str = "slot") -> UUID:
        """A run that has just started; whatever is due by now belongs to it."""
        return await self.worker().start_run(slot)

    async def claims(self, run: UUID, count: int = 1) -> list[Task]:
        """So many claims of the run, by id of the tasks."""
        tasks = await claim_of(self.worker(), run, count)
        assert len(tasks) == count
        return sorted(tasks, key=lambda task: task.id)

    async def resolved(self, task: Task, verdict: Verdict | None = None) -> Resolution:
        """What the claim came to: success, or the verdict. Outputs are stored under the fence of the claim."""
        worker = self.worker()
        if verdict is not None and task.provider_task_id is not None:
            worker.providers.answers[task.provider_task_id] = verdict
        return await worker.resolve_task(task)

    async def lose_leases(self) -> None:
        await self.execute(
            "UPDATE tasks SET lease_expires_at = clock_timestamp() - interval '1 hour' WHERE lease_holder IS NOT NULL"
        )

    async def execute(self, sql: str, **parameters: object) -> None:
        async with self.transactions.begin() as tx:
            await tx.execute(sql, **parameters)

    async def value(self, sql: str, **parameters: object) -> Any:
        async with self.transactions.read() as reading:
            return await reading.value(sql, **parameters)


async def claim_of(worker: RecoveryUnderTest, run: UUID, count: int) -> list[Task]:
    return list(await worker.claim_tasks.for_run(run, limit=count))


def failed(task: Task) -> Failed:
    """A failure that names the claim which saw it, so that the truths can tell who decided."""
    return Failed(f"seen by claim {task.fence}")


Results = tuple[Any, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What both do, and what must be so after every order: `check` gets what they returned.

    `refusals` are exceptions that are an answer here. `is_repeated`: whoever sends the work sends it again when its
    receiver dies (a message, a request of an app).
    """

    first: Action
    second: Action
    check: Callable[[Results], Awaitable[None]] | None = None
    refusals: tuple[type[Exception], ...] = ()
    is_repeated: bool = False

    @property
    def actions(self) -> tuple[Action, Action]:
        return self.first, self.second


@dataclass(frozen=True, slots=True)
class Scenario:
    """A sentence, and how it begins."""

    sentence: str
    prepare: Callable[[Setting], Awaitable[Plan]]

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, slots=True)
class Scenarios:
    """A list that grows by decorating the functions that prepare."""

    all: list[Scenario] = field(default_factory=list)

    def __call__(self, sentence: str) -> Callable[[Callable[[Setting], Awaitable[Plan]]], None]:
        def add(prepare: Callable[[Setting], Awaitable[Plan]]) -> None:
            self.all.append(Scenario(sentence, prepare))

        return add
