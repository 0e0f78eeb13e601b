"""Rows for tests: users with credits, tasks that wait, runs. Every default makes sense; a test names what matters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from backstop_common.database import Transactions
from backstop_common.ids import transaction_id

JOB = "process-stuck-tasks"


@dataclass(frozen=True, slots=True)
class Factory:
    """Makes rows in one database, as the app and the other services would have."""

    transactions: Transactions

    async def job(self, name: str = JOB, *, schedule: str = "*/10 * * * *", overlap: str = "skip") -> str:
        async with self.transactions.begin() as tx:
            await tx.execute(
                "INSERT INTO jobs (name, schedule, overlap) VALUES (:name, :schedule, :overlap) ON CONFLICT DO NOTHING",
                name=name,
                schedule=schedule,
                overlap=overlap,
            )
        return name

    async def user(
        self, user_id: str | None = None, *, balance: int = 100, name: str = "Ada Lovelace", email: str | None = None
    ) -> str:
        user_id = user_id or f"user-{uuid4().hex[:8]}"
        async with self.transactions.begin() as tx:
            await tx.execute(
                "INSERT INTO users (id, name, email) VALUES (:id, :name, :email)",
                id=user_id,
                name=name,
                email=email or f"{user_id}@example.com",
            )
            await tx.execute(
                "INSERT INTO credit_accounts (user_id, balance) VALUES (:id, :balance)", id=user_id, balance=balance
            )
            await tx.execute(
                "INSERT INTO credit_transactions (id, user_id, kind, amount, balance_change, frozen_change,"
                " balance_after, frozen_after, reference_id)"
                " VALUES (:id, :user, 'grant', :balance, :balance, 0, :balance, 0, 'opening')",
                id=uuid4(),
                user=user_id,
                balance=balance,
            )
        return user_id

    async def task(
        self,
        user_id: str | None = None,
        *,
        task_id: UUID | None = None,
        kind: str = "video",
        provider: str = "replicate",
        provider_task_id: str | None = "",
        credits: int = 10,
        billing: str = "hold",
        age_seconds: float = 1200,
        stuck_after_seconds: float = 600,
        metadata: Mapping[str, Any] | None = None,
    ) -> UUID:
        """A task that has been processing for `age_seconds`; `hold` freezes its credits."""
        user_id = user_id or await self.user()
        task_id = task_id or uuid4()
        async with self.transactions.begin() as tx:
            await tx.execute(
                "INSERT INTO tasks (id, user_id, kind, provider, provider_task_id, credits, billing, metadata,"
                " submitted_at, next_check_at) VALUES (:id, :user_id, :kind, :provider, :provider_task_id,"
                " :credits, :billing, CAST(:metadata AS jsonb), clock_timestamp() - make_interval(secs => :age),"
                " clock_timestamp() - make_interval(secs => :age) + make_interval(secs => :stuck))",
                id=task_id,
                user_id=user_id,
                kind=kind,
                provider=provider,
                provider_task_id=f"p-{task_id.hex}" if provider_task_id == "" else provider_task_id,
                credits=credits,
                billing=billing,
                metadata=json.dumps(metadata or {}),
                age=float(age_seconds),
                stuck=float(stuck_after_seconds),
            )
            if billing == "hold" and credits:
                await tx.execute(
                    "WITH account AS (UPDATE credit_accounts SET frozen_balance = frozen_balance + :credits"
                    " WHERE user_id = :user RETURNING balance, frozen_balance)"
                    " INSERT INTO credit_transactions (id, user_id, task_id, kind, amount, balance_change,"
                    " frozen_change, balance_after, frozen_after)"
                    " SELECT :id, :user, :task, 'hold', :credits, 0, :credits, balance, frozen_balance FROM account",
                    id=transaction_id(task_id, "hold"),
                    user=user_id,
                    task=task_id,
                    credits=credits,
                )
        return task_id

    async def run(
        self,
        *,
        job: str = JOB,
        status: str = "completed",
        trigger: str = "schedule",
        started_seconds_ago: float = 600,
        duration_ms: int = 1500,
        results: Mapping[str, int] | None = None,
        error_message: str | None = None,
        heartbeat_seconds_ago: float | None = None,
        deadline_seconds: float = 3600,
    ) -> UUID:
        """A run of a job; a running one has no end yet."""
        await self.job(job)
        run_id = uuid4()
        running = status == "running"
        async with self.transactions.begin() as tx:
            await tx.execute(
                "INSERT INTO cron_job_executions (id, job_name, trigger, scheduled_for, started_at, completed_at,"
                " duration, status, results, error_message, horizon_at, heartbeat_at, deadline_at)"
                " SELECT :id, :job, :trigger, t.at, t.at, CASE WHEN :running THEN NULL ELSE"
                " t.at + make_interval(secs => CAST(:duration AS float) / 1000) END,"
                " CASE WHEN :running THEN NULL ELSE CAST(:duration AS bigint) END, :status,"
                " CAST(:results AS jsonb), :error,"
                " t.at, clock_timestamp() - make_interval(secs => :beat), t.at + make_interval(secs => :deadline)"
                " FROM (SELECT clock_timestamp() - make_interval(secs => :age) AS at) t",
                id=run_id,
                job=job,
                trigger=trigger,
                running=running,
                duration=duration_ms,
                status=status,
                results=json.dumps(
                    results
                    if results is not None
                    else {"completed": 0, "failed": 0, "stillProcessing": 0, "errors": 0, "totalFound": 0}
                ),
                error=error_message,
                beat=float(started_seconds_ago if heartbeat_seconds_ago is None else heartbeat_seconds_ago),
                deadline=float(deadline_seconds),
                age=float(started_seconds_ago),
            )
        return run_id
