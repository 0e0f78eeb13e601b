"""Putting the story into the world: people and tasks into the database, as the app would have, and the scripts of
their generations into the sandbox."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from backstop.demo.story import FAL_APP, PEOPLE, Person, Scene
from backstop_common.database import Transaction, Transactions
from backstop_common.ids import transaction_id
from backstop_sandbox import Sandbox
from backstop_sandbox.script import parse_script

JOB = "process-stuck-tasks"


@dataclass(frozen=True, slots=True)
class SeededTask:
    """A task of the story, and how the provider knows it."""

    id: UUID
    scene: Scene
    provider_task_id: str


@dataclass(frozen=True, slots=True)
class Seeding:
    """Writes what an app would have written before its webhooks got lost."""

    transactions: Transactions
    sandbox: Sandbox

    async def people(self) -> None:
        """The users and their credits; those who are there already keep what they have."""
        async with self.transactions.begin() as tx:
            for person in PEOPLE:
                await self._person(tx, person)

    async def batch(self, scenes: Sequence[Scene]) -> list[SeededTask]:
        """New stuck tasks for these scenes; whoever runs out of credits buys more first."""
        batch = secrets.token_hex(3)
        tasks = [SeededTask(uuid4(), scene, f"demo-{batch}-{number}") for number, scene in enumerate(scenes, 1)]
        for task in tasks:
            self._script(task)
        async with self.transactions.begin() as tx:
            for task in tasks:
                await self._task(tx, task)
        return tasks

    async def dead_run(self) -> UUID:
        """A run whose worker died twenty minutes ago: the watchdog will find it."""
        run = uuid4()
        async with self.transactions.begin() as tx:
            await tx.execute(
                "INSERT INTO cron_job_executions (id, job_name, trigger, scheduled_for, started_at, status, results,"
                " horizon_at, heartbeat_at, deadline_at) SELECT :id, :job, 'schedule', t.at, t.at, 'running',"
                """ '{"completed": 0, "failed": 0, "stillProcessing": 0, "errors": 0, "totalFound": 0}'::jsonb,"""
                " t.at, t.at + interval '40 seconds', t.at + interval '1 hour'"
                " FROM (SELECT clock_timestamp() - interval '20 minutes' AS at) t",
                id=run,
                job=JOB,
            )
        return run

    def _script(self, task: SeededTask) -> None:
        scene = task.scene
        if scene.behaviour == "unknown_id":
            return
        script = {
            "provider": scene.provider,
            "id": task.provider_task_id,
            "kind": scene.kind,
            "behaviour": scene.behaviour,
            **scene.details,
        }
        if scene.provider == "fal":
            script["app"] = FAL_APP
        self.sandbox.world.register(parse_script(script))

    async def _person(self, tx: Transaction, person: Person) -> None:
        new = await tx.execute(
            "INSERT INTO users (id, email, name) VALUES (:id, :email, :name) ON CONFLICT DO NOTHING",
            id=person.id,
            email=person.email,
            name=person.name,
        )
        if new:
            await tx.execute("INSERT INTO credit_accounts (user_id) VALUES (:id)", id=person.id)
            await _grant(tx, person.id, person.balance, "first purchase")

    async def _task(self, tx: Transaction, task: SeededTask) -> None:
        scene = task.scene
        await _afford(tx, scene)
        await tx.execute(
            "INSERT INTO tasks (id, user_id, kind, provider, provider_task_id, credits, billing, metadata,"
            " submitted_at) VALUES (:id, :user, :kind, :provider, :provider_task_id, :credits, :billing,"
            " CAST(:metadata AS jsonb),"
            " clock_timestamp() - make_interval(mins => :minutes))",
            id=task.id,
            user=scene.person,
            kind=scene.kind,
            provider=scene.provider,
            provider_task_id=task.provider_task_id,
            credits=scene.credits,
            billing=scene.billing,
            metadata=json.dumps({"app": FAL_APP} if scene.provider == "fal" else {}),
            minutes=scene.minutes_ago,
        )
        await tx.execute(
            "INSERT INTO task_events (task_id, kind, detail, at) VALUES (:id, 'registered', CAST(:detail AS jsonb),"
            " clock_timestamp() - make_interval(mins => :minutes))",
            id=task.id,
            detail=json.dumps({"credits": scene.credits, "billing": scene.billing}),
            minutes=scene.minutes_ago,
        )
        if scene.billing == "hold":
            await _hold(tx, task)


async def _afford(tx: Transaction, scene: Scene) -> None:
    spendable = await tx.value(
        "SELECT balance - frozen_balance FROM credit_accounts WHERE user_id = :user FOR UPDATE", user=scene.person
    )
    if spendable < scene.credits:
        await _grant(tx, scene.person, 200, "top-up")


async def _grant(tx: Transaction, user: str, amount: int, reason: str) -> None:
    await tx.execute(
        "WITH account AS (UPDATE credit_accounts SET balance = balance + :amount WHERE user_id = :user"
        " RETURNING balance, frozen_balance) INSERT INTO credit_transactions (id, user_id, kind, amount,"
        " balance_change, frozen_change, balance_after, frozen_after, reason, reference_id)"
        " SELECT :id, :user, 'grant', :amount, :amount, 0, balance, frozen_balance, :reason, :reference FROM account",
        id=uuid4(),
        user=user,
        amount=amount,
        reason=reason,
        reference=f"demo-{secrets.token_hex(8)}",
    )


async def _hold(tx: Transaction, task: SeededTask) -> None:
    await tx.execute(
        "WITH account AS (UPDATE credit_accounts SET frozen_balance = frozen_balance + :amount WHERE user_id = :user"
        " RETURNING balance, frozen_balance) INSERT INTO credit_transactions (id, user_id, task_id, kind, amount,"
        " balance_change, frozen_change, balance_after, frozen_after)"
        " SELECT :id, :user, :task, 'hold', :amount, 0, :amount, balance, frozen_balance FROM account",
        id=transaction_id(task.id, "hold"),
        user=task.scene.person,
        task=task.id,
        amount=task.scene.credits,
    )
