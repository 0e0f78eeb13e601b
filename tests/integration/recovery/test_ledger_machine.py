"""Any order of claims, settlements, lost leases and repeats leaves money, labels and events in agreement.

A state machine works on a real database: two workers claim the same tasks, resolve them with whatever the provider
happens to say, and settle what they hold, fresh or stale, once or again, in groups that mix everything.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy.exc import IntegrityError

from backstop_common.database import Transactions, create_engine
from backstop_common.errors import TransientError
from backstop_recovery.application.settle_tasks import Settled
from backstop_recovery.domain.decision import Policy
from backstop_recovery.domain.ledger import LedgerError
from backstop_recovery.domain.resolution import Resolution
from backstop_recovery.domain.verdict import (
    Cancelled,
    Expired,
    Failed,
    NotFound,
    StillRunning,
    Succeeded,
    Unknown,
    UnknownReason,
    Verdict,
)
from tests.support.factories import Factory
from tests.support.postgres import PostgresServer
from tests.support.recovery import RecoveryUnderTest, broken_truths, one_output

T = TypeVar("T")

FINAL = {"completed", "failed", "cancelled", "expired", "asset_lost", "timed_out", "ignored"}
VERDICTS: list[Verdict] = [
    one_output(),
    one_output(),
    Succeeded(()),
    Failed("no"),
    Cancelled("by the user"),
    Expired("data removed"),
    StillRunning(queued=False, state="processing"),
    NotFound("no such id"),
    Unknown(UnknownReason.SERVER_ERROR, "500"),
]
BILLINGS = ["hold", "hold", "on_success", "prepaid", "none"]
WORKERS = st.sampled_from([0, 1])
EMPTY_TABLES = (
    "TRUNCATE task_assets, task_events, credit_transactions, credit_accounts, tasks, users, outbox, inbox,"
    " cron_job_executions, ticks CASCADE"
)

EVENTS_OF_FINAL_TASKS = """
    SELECT t.id, t.status, array_remove(array_agg(o.type), NULL) AS types, count(DISTINCT o.event_id) AS ids
    FROM tasks t LEFT JOIN outbox o ON o.type IN ('task.completed', 'task.failed')
        AND CAST(o.body AS jsonb) ->> 'task_id' = t.id::text
    GROUP BY t.id, t.status
"""


class LedgerMachine(RuleBasedStateMachine):
    """Two workers, one user's tasks of every billing, and everything they may do to them in any order."""

    database_url: str
    """Set by the test: the machine makes its own loop and pool."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.engine = self._await(self._open())
        self.transactions = Transactions(self.engine)
        policy = Policy(own_failures_until_attention=3, not_found_grace_seconds=0, not_found_confirmations=2)
        self.workers = [RecoveryUnderTest(self.transactions, policy=policy) for _ in range(2)]
        self.held: list[Resolution] = []
        self.statuses: dict[UUID, str] = {}
        self.fences: dict[UUID, int] = {}
        self.run: UUID

    async def _open(self) -> Any:
        return create_engine(self.database_url, application_name="machine", pool_size=2)

    def _await(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    async def _execute(self, sql: str, **parameters: object) -> None:
        async with self.transactions.begin() as tx:
            await tx.execute(sql, **parameters)

    @initialize(balance=st.integers(0, 60), prices=st.lists(st.integers(0, 20), min_size=2, max_size=4), data=st.data())
    def begin(self, balance: int, prices: list[int], data: st.DataObject) -> None:
        async def make() -> None:
            await self._execute(EMPTY_TABLES)
            factory = Factory(self.transactions)
            await factory.job()
            user = await factory.user("ada", balance=balance)
            left = balance
            for number, price in enumerate(prices):
                billing = data.draw(st.sampled_from(BILLINGS))
                if billing == "hold" and price > left:
                    billing = "on_success"
                left -= price if billing == "hold" else 0
                await factory.task(
                    user, task_id=UUID(int=number + 1), credits=price, billing=billing, age_seconds=2000 - number
                )
            self.run = await self.workers[0].start_run()

        self._await(make())

    @rule(worker=WORKERS, verdict=st.sampled_from(VERDICTS), copy_fails=st.booleans(), count=st.integers(1, 3))
    def claim_and_resolve(self, worker: int, verdict: Verdict, copy_fails: bool, count: int) -> None:
        who = self.workers[worker]

        async def work() -> None:
            for task in await who.claim_tasks.for_run(self.run, limit=count):
                assert task.provider_task_id is not None
                who.providers.answers[task.provider_task_id] = verdict
                who.assets.failures.pop(task.provider_task_id, None)
                if copy_fails:
                    who.assets.failures[task.provider_task_id] = TransientError("the store is away")
                self.held.append(await who.resolve_task(task))

        self._await(work())

    @rule()
    def leases_expire(self) -> None:
        self._await(
            self._execute("UPDATE tasks SET lease_expires_at = now() - interval '1 s' WHERE lease_holder IS NOT NULL")
        )

    @rule()
    def time_passes(self) -> None:
        """Open tasks are due again, and somebody retries what needs attention; the run is still on."""
        self._await(
            self._execute(
                "UPDATE tasks SET status = 'processing', next_check_at = now() - interval '1 hour'"
                " WHERE status IN ('processing', 'needs_attention')"
            )
        )

    @rule(worker=WORKERS)
    def renew(self, worker: int) -> None:
        self._await(self.workers[worker].sweep().renew([resolution.task for resolution in self.held]))

    @rule(worker=WORKERS, data=st.data())
    def settle_a_group(self, worker: int, data: st.DataObject) -> None:
        """Several claims of one task may be in it; what is settled stays in our hands, to be settled again."""
        if self.held:
            group = data.draw(st.lists(st.sampled_from(self.held), min_size=1, max_size=4, unique_by=_claim_of))
            self._await(self._settle(worker, group))

    @rule(data=st.data())
    def settle_the_same_with_both_workers_at_once(self, data: st.DataObject) -> None:
        if self.held:
            one = data.draw(st.sampled_from(self.held))

            async def race() -> tuple[Settled | None, Settled | None]:
                return await asyncio.gather(self._settle(0, [one]), self._settle(1, [one]))

            winners = [settled for settled in self._await(race()) if settled is not None and settled.settled]
            assert len(winners) <= 1

    @rule()
    def settle_all_through_groups(self) -> None:
        """What the pool does with all it has, stale claims included: refused ones become errors of ours, alone."""
        settle = self.workers[0].sweep().settle

        async def settle_all() -> None:
            held, self.held = self.held, []
            await asyncio.gather(*(settle.settle(resolution) for resolution in held))

        self._await(settle_all())

    async def _settle(self, worker: int, group: list[Resolution]) -> Settled | None:
        try:
            return await self.workers[worker].settle_tasks(group)
        except (LedgerError, IntegrityError):
            return None

    @invariant()
    def money_and_labels_agree(self) -> None:
        assert self._await(broken_truths(self.transactions)) == {}

    @invariant()
    def final_stays_final_and_fences_only_grow(self) -> None:
        async def look() -> list[Any]:
            async with self.transactions.read() as reading:
                return list(await reading.rows("SELECT id, status, fence FROM tasks"))

        for row in self._await(look()):
            before = self.statuses.get(row["id"])
            assert before not in FINAL or row["status"] == before
            assert row["fence"] >= self.fences.get(row["id"], 0)
            self.statuses[row["id"]], self.fences[row["id"]] = row["status"], row["fence"]

    @invariant()
    def each_final_task_was_told_once_and_of_the_right_kind(self) -> None:
        async def look() -> list[Any]:
            async with self.transactions.read() as reading:
                return list(await reading.rows(EVENTS_OF_FINAL_TASKS))

        for row in self._await(look()):
            told = (
                ["task.completed" if row["status"] == "completed" else "task.failed"] if row["status"] in FINAL else []
            )
            assert (row["types"], row["ids"]) == (told, len(told))

    @invariant()
    def the_run_counts_what_was_settled(self) -> None:
        async def look() -> tuple[Any, Any]:
            async with self.transactions.read() as reading:
                results = await reading.value("SELECT results FROM cron_job_executions")
                outcomes = await reading.rows("SELECT outcome FROM task_events WHERE kind = 'checked'")
            return results, outcomes

        results, outcomes = self._await(look())
        if results is not None:
            checked = Counter(row["outcome"] for row in outcomes)
            assert results["totalFound"] == checked.total()
            assert results["completed"] == checked["completed"]
            assert results["stillProcessing"] == checked["still_processing"]
            assert results["errors"] == checked["error"] + checked["needs_attention"]

    def teardown(self) -> None:
        self._await(self.engine.dispose())
        self.runner.close()


def _claim_of(resolution: Resolution) -> tuple[UUID, int]:
    return resolution.task.claim


@pytest.fixture
def machine(postgres_server: PostgresServer, database_url: str) -> type[LedgerMachine]:
    class OnThisDatabase(LedgerMachine):
        pass

    OnThisDatabase.database_url = database_url
    return OnThisDatabase


def test_no_order_of_steps_charges_twice_or_loses_an_event(machine: type[LedgerMachine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # shrinking on a database takes minutes; the failing steps are printed as found
            suppress_health_check=list(HealthCheck),
        ),
    )
