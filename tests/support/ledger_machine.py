"""A state machine over claims, settlements and everything that may come between them, on a real database.

Two workers claim the same tasks, resolve them with whatever the provider happens to say, and settle what they hold,
fresh or stale, once or again, in groups that mix everything. Workers die, leases run out, webhooks come, apps register
tasks and buy credits, people decide, runs end and new ones start. After each step the truths of
`tests/support/interleaving/truths.py` are asked: SQL without product code.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Coroutine
from typing import Any, Literal, TypeVar
from uuid import UUID

import asyncpg
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
from backstop_recovery.domain.task import Task
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
from tests.support.intake import task_body
from tests.support.interleaving import truths
from tests.support.interleaving.memory import Memory
from tests.support.recovery import RecoveryUnderTest, one_output
from tests.support.scenarios.accounts import grant, register
from tests.support.scenarios.people import act

T = TypeVar("T")

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
    " cron_job_executions, ticks, diary.changes CASCADE"
)
MOST_TASKS = 8


class LedgerMachine(RuleBasedStateMachine):
    """Two workers, one user's tasks of every billing, and everything that may happen to them in any order."""

    database_url: str
    """Set by `run_machine`: the machine makes its own loop and pool."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.engine, self.observer = self._await(self._open())
        self.transactions = Transactions(self.engine)
        policy = Policy(own_failures_until_attention=3, not_found_grace_seconds=0, not_found_confirmations=2)
        self.workers = [RecoveryUnderTest(self.transactions, policy=policy) for _ in range(2)]
        self.held: list[Resolution] = []
        self.tasks: list[UUID] = []
        self.slots = 0
        self.run: UUID

    async def _open(self) -> tuple[Any, asyncpg.Connection]:
        observer = await asyncpg.connect(self.database_url)
        if not await observer.fetchval("SELECT to_regnamespace('diary') IS NOT NULL"):
            await Memory.of(observer)
        return create_engine(self.database_url, application_name="machine", pool_size=2), observer

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
                task = UUID(int=number + 1)
                await factory.task(user, task_id=task, credits=price, billing=billing, age_seconds=2000 - number)
                self.tasks.append(task)
            self.run = await self.workers[0].start_run()

        self._await(make())

    @rule(worker=WORKERS, verdict=st.sampled_from(VERDICTS), copy_fails=st.booleans(), count=st.integers(1, 3))
    def claim_and_resolve(self, worker: int, verdict: Verdict, copy_fails: bool, count: int) -> None:
        async def work() -> None:
            for task in await self.workers[worker].claim_tasks.for_run(self.run, limit=count):
                self.held.append(await self._resolve(worker, task, verdict, copy_fails=copy_fails))

        self._await(work())

    @rule(worker=WORKERS, verdict=st.sampled_from(VERDICTS), uploaded=st.booleans())
    def claim_and_die(self, worker: int, verdict: Verdict, uploaded: bool) -> None:
        """Before the upload, or between it and the settlement: the lease is all that is left."""

        async def work() -> None:
            for task in await self.workers[worker].claim_tasks.for_run(self.run, limit=1):
                if uploaded:
                    await self._resolve(worker, task, verdict)

        self._await(work())

    @rule(worker=WORKERS, verdict=st.sampled_from(VERDICTS), data=st.data())
    def a_webhook_comes(self, worker: int, verdict: Verdict, data: st.DataObject) -> None:
        async def work(task_id: UUID) -> None:
            task = await self.workers[worker].claim_tasks.one(task_id)
            if task is not None:
                self.held.append(await self._resolve(worker, task, verdict))

        self._await(work(data.draw(st.sampled_from(self.tasks))))

    async def _resolve(self, worker: int, task: Task, verdict: Verdict, *, copy_fails: bool = False) -> Resolution:
        who, provider_task_id = self.workers[worker], str(task.provider_task_id)
        who.providers.answers[provider_task_id] = verdict
        who.assets.failures.pop(provider_task_id, None)
        if copy_fails:
            who.assets.failures[provider_task_id] = TransientError("the store is away")
        return await who.resolve_task(task)

    @rule(billing=st.sampled_from(BILLINGS), price=st.integers(0, 20))
    def the_app_registers_a_task(self, billing: str, price: int) -> None:
        if len(self.tasks) < MOST_TASKS:
            task = UUID(int=len(self.tasks) + 1)
            self.tasks.append(task)
            body = task_body(id=str(task), billing=billing, credits=price, submittedAt="2026-01-01T00:00:00Z")
            self._await(_answer(register(body)(self.workers[0])))

    @rule(amount=st.integers(1, 20), purchase=st.integers(0, 3))
    def the_user_buys_credits(self, amount: int, purchase: int) -> None:
        self._await(_answer(grant(amount, f"order-{purchase}")(self.workers[0])))

    @rule(worker=WORKERS)
    def a_tick_comes(self, worker: int) -> None:
        """A new run, or a skipped one while the last is on."""

        async def tick() -> None:
            self.slots += 1
            started = await self.workers[worker].start_run(f"slot-{self.slots}")
            async with self.transactions.read() as reading:
                status = await reading.value("SELECT status FROM cron_job_executions WHERE id = :id", id=started)
            self.run = started if status == "running" else self.run

        self._await(tick())

    @rule(worker=WORKERS)
    def the_run_is_asked_whether_it_is_done(self, worker: int) -> None:
        self._await(self.workers[worker].finish_run.if_done(self.run))

    @rule(worker=WORKERS)
    def the_watchdog_gives_the_run_up(self, worker: int) -> None:
        self._await(self.workers[worker].finish_run.as_failed(self.run, reason="the watchdog's"))

    @rule(action=st.sampled_from(["recover", "fail"]), data=st.data())
    def somebody_decides(self, action: Literal["recover", "fail"], data: st.DataObject) -> None:
        self._await(_answer(act(data.draw(st.sampled_from(self.tasks)), action)(self.workers[0])))

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
    def every_truth_holds(self) -> None:
        assert self._await(truths.broken(self.observer, truths.ALWAYS)) == {}

    def teardown(self) -> None:
        self._await(self.engine.dispose())
        self._await(self.observer.close())
        self.runner.close()


def _claim_of(resolution: Resolution) -> tuple[UUID, int]:
    return resolution.task.claim


async def _answer(work: Awaitable[object]) -> None:
    """A refusal, or a wish to be asked again, is an answer."""
    with contextlib.suppress(TransientError):
        await work


def run_machine(database_url: str, *, examples: int, steps: int) -> None:
    """So many histories of so many steps, on an empty, migrated database."""

    class OnThisDatabase(LedgerMachine):
        pass

    OnThisDatabase.database_url = database_url
    run_state_machine_as_test(
        OnThisDatabase,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # shrinking on a database takes minutes; the failing steps are printed as found
            suppress_health_check=list(HealthCheck),
        ),
    )
