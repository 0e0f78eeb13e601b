"""Backstop's recovery, composed as in production: leases, guards, digests, ledger, timeline, outbox, metrics and logs.

Without a broker the run is started through the handler of `tick.due`, and events stay in the outbox: the same work as
the other contestants do. With a broker the whole service runs (probes, consumers, relay), and the work ends when the
broker has confirmed the last event.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client import REGISTRY

from backstop_common.contracts import TickDue
from backstop_common.ids import event_id
from backstop_common.loop import Loop
from backstop_common.messaging import Delivery
from backstop_common.observability.logging import configure_logging
from backstop_common.running import Runtime, Service, open_runtime, start_services
from backstop_common.settings import load_settings
from backstop_common.ticks import Tick, insert_tick
from backstop_recovery.entrypoints.handlers import SERVICE
from backstop_recovery.main import compose
from backstop_recovery.settings import RecoverySettings
from benchmarks.participant import TOKEN, Assignment, Work, take_part

JOB = "process-stuck-tasks"
_LOOK_SECONDS = 0.02


@asynccontextmanager
async def prepare(assignment: Assignment) -> AsyncIterator[Work]:
    """The composed service; with a broker it is started, but has nothing to do yet."""
    folder = Path(assignment.folder)
    settings = _settings(assignment)
    with (folder.parent / "recovery.log").open("a") as log:
        configure_logging(service=SERVICE, level=settings.log_level, output="json", stream=log)
        runtime = open_runtime(settings, name=SERVICE)
        service = compose(settings, runtime, {"REPLICATE_API_TOKEN": TOKEN})
        contest = _Contest(runtime, service)
        if assignment.amqp_url is not None:
            async with start_services(runtime, [service]):
                yield contest.whole_service
        else:
            await runtime.wait_for_database()
            yield contest.recovery_alone
            await service.stop()
            await runtime.stop()


def _settings(assignment: Assignment) -> RecoverySettings:
    folder = Path(assignment.folder)
    providers = folder.parent / "providers.yaml"
    providers.write_text(
        f"providers:\n  replicate:\n    base_url: {assignment.provider_url}/v1\n    limits: {{requests: null}}\n"
    )
    return load_settings(
        RecoverySettings,
        DATABASE_URL=assignment.database_url,
        AMQP_URL=assignment.amqp_url,
        BACKSTOP_RECOVERY_PORT=0,
        PROVIDERS_FILE=providers,
        ALLOW_PRIVATE_HOSTS=urlsplit(assignment.provider_url).netloc,
        ASSET_STORE_URL=folder.as_uri(),
        RECOVERY_CONCURRENCY=assignment.concurrency,
        # All tasks are of one provider here: its own limit would measure itself.
        BACKSTOP_PROVIDER_CONCURRENCY=assignment.concurrency,
    )


@dataclass(frozen=True, slots=True)
class _Contest:
    runtime: Runtime
    service: Service

    async def recovery_alone(self) -> None:
        """One run, from its tick to its end, with all of recovery's own loops."""
        await self._start_run()
        loops = [asyncio.create_task(loop.run()) for loop in self.service.loops]
        await _run_ended()
        await _stop(self.service.loops, loops)

    async def whole_service(self) -> None:
        """The same, with messages through the broker, until it has confirmed every event."""
        await self._make_tick()
        await _run_ended()
        while await self._is_unfinished():  # noqa: ASYNC110 - another process is waited for
            await asyncio.sleep(_LOOK_SECONDS)

    async def _make_tick(self) -> tuple[Tick, datetime]:
        now = datetime.now(UTC)
        async with self.runtime.transactions.begin() as tx:
            tick = await insert_tick(
                tx, job_name=JOB, slot="benchmark", trigger="manual", actor=None, scheduled_for=now
            )
        return tick, now

    async def _start_run(self) -> None:
        tick, now = await self._make_tick()
        due = TickDue(tick_id=tick.id, job_name=JOB, slot="benchmark", trigger="manual", actor=None, scheduled_for=now)
        (ticks,) = (entry for entry in self.service.subscriptions if entry.message is TickDue)
        await ticks.handler(due, Delivery(ticks.queue.name, event_id(TickDue.type, tick.id), None))

    async def _is_unfinished(self) -> bool:
        async with self.runtime.transactions.read() as reading:
            return bool(
                await reading.value(
                    "SELECT EXISTS (SELECT 1 FROM outbox)"
                    " OR EXISTS (SELECT 1 FROM cron_job_executions WHERE status = 'running')"
                )
            )


async def _run_ended() -> None:
    """Look at the counter of ended runs: asking the database would add to what is measured."""
    counter = REGISTRY.restricted_registry(["backstop_runs_total"])
    while not any(sample.value for metric in counter.collect() for sample in metric.samples):  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_SECONDS)


async def _stop(loops: Sequence[Loop], tasks: Sequence[asyncio.Task[None]]) -> None:
    for loop in loops:
        loop.stop()
    await asyncio.gather(*tasks)


if __name__ == "__main__":
    take_part(prepare)
