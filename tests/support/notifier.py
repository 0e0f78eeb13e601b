"""The notifier on a real database, with the sandbox as mail host and chats; messages travel through the outbox."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import RowMapping

from backstop_common.contracts import Asset, Message, RunFinished, RunResults, TaskCompleted, TaskFailed
from backstop_common.database import Transactions
from backstop_common.ids import event_id
from backstop_common.messaging.local import LocalDispatcher
from backstop_common.outbox.relay import Relay
from backstop_common.running import Runtime, Service, open_runtime
from backstop_common.settings import load_settings
from backstop_notifier.main import compose
from backstop_notifier.settings import NotifierSettings
from backstop_sandbox import Sandbox, SandboxSettings
from tests.support.factories import JOB, Factory

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NotifierUnderTest:
    """Everything of the composed service; loops turn only when a test says so."""

    runtime: Runtime
    service: Service
    sandbox: Sandbox
    factory: Factory

    @property
    def transactions(self) -> Transactions:
        return self.runtime.transactions

    async def tell(self, message: Message, event: UUID | None = None) -> None:
        """Publish a message, and hand on all that follows from it."""
        async with self.transactions.begin() as tx:
            await tx.publish(message, event_id=event or uuid4())
        await self.relay()

    async def relay(self) -> None:
        """Empty the outbox into the handlers."""
        relay = Relay(self.transactions, LocalDispatcher(self.transactions, self.service.subscriptions))
        while await self._value("SELECT count(*) FROM outbox"):
            await relay.run_once()
        assert await self._value("SELECT count(*) FROM dead_letters") == 0

    async def turn(self, loop_name: str) -> None:
        """Turn a loop of the service until it has nothing more to do."""
        (loop,) = [one for one in self.service.loops if one.name == loop_name]
        while await loop._run_once():
            pass

    async def send(self, *channels: str) -> None:
        """Send what is due."""
        for channel in channels:
            await self.turn(f"deliveries-{channel}")

    async def deliveries(self) -> Sequence[RowMapping]:
        """All rows, in order of their keys."""
        async with self.transactions.read() as reading:
            return await reading.rows("SELECT * FROM deliveries ORDER BY key")

    async def delivery(self) -> RowMapping:
        """The only row."""
        (row,) = await self.deliveries()
        return row

    async def seconds_until_next(self) -> float:
        """How long the one delivery waits for its next attempt."""
        waits = await self._value(
            "SELECT extract(epoch FROM next_attempt_at - clock_timestamp())::float FROM deliveries"
        )
        assert isinstance(waits, float)
        return waits

    async def let_time_pass(self) -> None:
        """All retries are due, all leases of dead workers are over."""
        async with self.transactions.begin() as tx:
            await tx.execute("UPDATE deliveries SET next_attempt_at = now() - interval '1 second'")
            await tx.execute(
                "UPDATE deliveries SET lease_expires_at = now() - interval '1 second' WHERE state = 'sending'"
            )

    async def lose_a_worker_while_sending(self) -> None:
        """What a worker leaves behind that was killed between sending and recording."""
        async with self.transactions.begin() as tx:
            await tx.execute(
                "UPDATE deliveries SET state = 'sending', attempt_count = 1, lease_holder = 'a dead worker',"
                " lease_expires_at = now() - interval '1 second'"
            )

    async def incidents(self) -> Sequence[RowMapping]:
        """All rows, oldest first."""
        async with self.transactions.read() as reading:
            return await reading.rows("SELECT * FROM incidents ORDER BY opened_at")

    async def _value(self, sql: str) -> Any:
        async with self.transactions.read() as reading:
            return await reading.value(sql)


@asynccontextmanager
async def notifier_under_test(database_url: str, **changes: str | None) -> AsyncIterator[NotifierUnderTest]:
    """The service with mails and both chats; `changes` replace settings, None takes one away."""
    async with Sandbox(SandboxSettings(port=0, smtp_port=0)) as sandbox:
        settings: Mapping[str, str | None] = {
            "SMTP_URL": f"smtp://127.0.0.1:{sandbox.smtp_port}?starttls=false",
            "EMAIL_FROM": "no-reply@viecom.pro",
            "BRAND_NAME": "Viecom",
            "APP_BASE_URL": "https://www.viecom.pro",
            "SLACK_WEBHOOK_URL": f"{sandbox.url}/hooks/slack/ops",
            "DISCORD_WEBHOOK_URL": f"{sandbox.url}/hooks/discord/alerts",
            "ALLOW_PRIVATE_HOSTS": sandbox.url.removeprefix("http://"),
            **changes,
        }
        loaded = load_settings(
            NotifierSettings, **{name: value for name, value in settings.items() if value is not None}
        )
        runtime = open_runtime(loaded, name="notifier", database_url=database_url)
        service = compose(loaded, runtime)
        try:
            yield NotifierUnderTest(runtime, service, sandbox, Factory(runtime.transactions))
        finally:
            await service.stop()
            await runtime.stop()


def completed(
    user: str, *, task: UUID | None = None, kind: Any = "video", urls: Sequence[str | None] = ()
) -> TaskCompleted:
    """A `task.completed` with one asset per address."""
    task = task or uuid4()
    content_type = "video/mp4" if kind == "video" else "image/png"
    assets = tuple(
        Asset(
            index=index,
            role="primary",
            key=f"tasks/{task}/{index}",
            url=url,
            content_type=content_type,
            size_bytes=1,
            sha256="0" * 64,
        )
        for index, url in enumerate(urls or ("https://cdn.viecom.pro/a.mp4",))
    )
    return TaskCompleted(
        task_id=task,
        user_id=user,
        kind=kind,
        provider="replicate",
        credits_charged=10,
        assets=assets,
        submitted_at=NOON,
        finished_at=NOON,
    )


def failed(
    user: str, *, task: UUID | None = None, message: str = "NSFW content detected", outcome: Any = "failed"
) -> TaskFailed:
    """A `task.failed` whose 12 credits are back."""
    return TaskFailed(
        task_id=task or uuid4(),
        user_id=user,
        kind="video",
        provider="replicate",
        outcome=outcome,
        message=message,
        credits_returned=12,
        submitted_at=NOON,
        finished_at=NOON,
    )


def finished(
    status: Any, *, started: float, ended: float, run: UUID | None = None, error: str | None = None, job: str = JOB
) -> RunFinished:
    """A `run.finished`; moments are minutes after noon."""
    started_at, ended_at = NOON + timedelta(minutes=started), NOON + timedelta(minutes=ended)
    return RunFinished(
        run_id=run or uuid4(),
        job_name=job,
        status=status,
        trigger="schedule",
        scheduled_for=started_at,
        started_at=started_at,
        completed_at=ended_at,
        duration_ms=int((ended - started) * 60000),
        results=RunResults(),
        error_message=error or ("database gone" if status == "failed" else None),
    )


def same_event(message: TaskCompleted | TaskFailed) -> UUID:
    """The id the message has whenever it is told."""
    return event_id(message.type, message.task_id)
