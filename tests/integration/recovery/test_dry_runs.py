"""A dry run tells what a run would do, to the last credit, and does none of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from backstop_common.contracts import TickDue
from backstop_common.database import Transactions
from backstop_common.messaging import Delivery
from backstop_recovery.application.list_due_tasks import DuePage
from backstop_recovery.application.measure_backlog import MeasureBacklog
from backstop_recovery.application.schedule_first_checks import ScheduleFirstChecks
from backstop_recovery.domain.blast_radius import OFF_PERCENT, BlastRadius
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
from backstop_recovery.entrypoints.handlers import Handlers
from tests.support.dry_runs import (
    PATIENCE,
    STUCK_AFTER_SECONDS,
    DryRunner,
    blast_radius_of,
    everything,
    previews,
    run_row,
)
from tests.support.factories import Factory
from tests.support.recovery import RecoveryUnderTest, ScriptedProviders, broken_truths, one_output

DAY = 90_000.0


@dataclass(frozen=True)
class Case:
    """A task in some state, what its provider says, and what has to become of it."""

    outcome: str
    verdict: Verdict | None
    age_seconds: float = 1200.0
    counts: dict[str, object] = field(default_factory=dict)


CASES = [
    Case("completed", one_output()),
    Case("error", Succeeded(())),
    Case("asset_lost", Succeeded(()), counts={"not_found_count": 2, "last_denial": "output"}),
    Case("failed", Failed("refused", "nsfw")),
    Case("cancelled", Cancelled("stopped")),
    Case("expired", Expired("gone")),
    Case("still_processing", StillRunning(queued=True, state="IN_QUEUE")),
    Case("still_processing", StillRunning(queued=False, state="running")),
    Case("timed_out", StillRunning(queued=False, state="running"), age_seconds=DAY),
    Case("still_processing", NotFound("no such id")),
    Case("failed", NotFound("no such id"), counts={"not_found_count": 2, "last_denial": "id"}),
    Case("error", Unknown(UnknownReason.RATE_LIMITED, "too many")),
    Case("error", Unknown(UnknownReason.UNKNOWN_STATE, "says 'maybe'"), age_seconds=DAY),
    Case("still_processing", None),
    Case("failed", None, age_seconds=3600.0),
]
BILLINGS = ("hold", "prepaid", "on_success", "none")
ENDINGS = {"failed", "cancelled", "expired", "asset_lost", "timed_out"}
SETTLEMENTS = {
    ("hold", "completed"): "charge",
    ("on_success", "completed"): "charge",
    ("hold", "ended"): "release",
    ("prepaid", "ended"): "refund",
}
COUNTED = {"completed": "completed", "still_processing": "stillProcessing", "error": "errors"}


def _settlement(billing: str, outcome: str) -> str | None:
    return SETTLEMENTS.get((billing, "ended" if outcome in ENDINGS else outcome))


@pytest.fixture
async def factory(transactions: Transactions) -> Factory:
    factory = Factory(transactions)
    await factory.job()
    return factory


@pytest.fixture
def providers() -> ScriptedProviders:
    return ScriptedProviders()


@pytest.fixture
def dry(transactions: Transactions, providers: ScriptedProviders) -> DryRunner:
    return DryRunner(transactions, providers)


async def _set(transactions: Transactions, task: UUID, **columns: object) -> None:
    async with transactions.begin() as tx:
        for name, value in columns.items():
            await tx.execute(f"UPDATE tasks SET {name} = :value WHERE id = :id", value=value, id=task)  # noqa: S608 - names of this file


async def _mixed(
    transactions: Transactions, factory: Factory, providers: ScriptedProviders
) -> dict[UUID, tuple[str, str | None, int]]:
    """Every case under every billing: what has to become of each, its settlement, and the credits that move."""
    expected: dict[UUID, tuple[str, str | None, int]] = {}
    users = [await factory.user(balance=1000) for _ in range(3)]
    for at, case in enumerate(CASES):
        for billing in BILLINGS:
            task = await factory.task(
                users[at % 3],
                provider=("fal", "kie", "replicate")[at % 3],
                provider_task_id=None if case.verdict is None else "",
                credits=7 + at,
                billing=billing,
                age_seconds=case.age_seconds,
            )
            if case.counts:
                await _set(transactions, task, **case.counts)
            if case.verdict is not None:
                providers.answers[f"p-{task.hex}"] = case.verdict
            settlement = _settlement(billing, case.outcome)
            expected[task] = (case.outcome, settlement, 7 + at if settlement else 0)
    return expected


async def _strangers(transactions: Transactions, factory: Factory) -> list[UUID]:
    """Tasks that no run would take: too young, checked a moment ago, or over."""
    young = await factory.task(age_seconds=60)
    unstamped = await factory.task(age_seconds=200)
    await _set(transactions, unstamped, next_check_at=None)
    over = await factory.task(billing="none")
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET status = 'failed', finished_at = now() WHERE id = :id", id=over)
    return [young, unstamped, over]


async def test_the_report_tells_every_verdict_under_every_billing_and_nothing_is_changed(
    transactions: Transactions, factory: Factory, providers: ScriptedProviders, dry: DryRunner
) -> None:
    expected = await _mixed(transactions, factory, providers)
    await _strangers(transactions, factory)
    before = await everything(transactions)

    run = await dry.run()

    assert await everything(transactions) == before
    told = await previews(transactions, run)
    assert {row["task_id"]: (row["outcome"], row["settlement"], row["credits"]) for row in told} == expected
    assert [row["position"] for row in told] == list(range(1, len(expected) + 1))
    counts = Counter(COUNTED.get(outcome, "failed") for outcome, _, _ in expected.values())
    row = await run_row(transactions, run)
    assert row["status"] == "completed"
    assert row["results"] == {**counts, "totalFound": len(expected)}


async def test_a_run_over_the_same_tasks_does_exactly_what_was_told(
    transactions: Transactions, factory: Factory, providers: ScriptedProviders, dry: DryRunner
) -> None:
    await _mixed(transactions, factory, providers)
    poor = await factory.user(balance=8)
    for _ in range(2):
        await factory.task(poor, billing="on_success", credits=5)
    await _set(transactions, await factory.task(poor, billing="on_success", credits=50), error_count=9)
    unstamped = await factory.task(provider="fal", kind="image", age_seconds=200)
    await _set(transactions, unstamped, next_check_at=None)
    told = {row["task_id"]: row for row in await previews(transactions, await dry.run())}

    await ScheduleFirstChecks(transactions, PATIENCE, STUCK_AFTER_SECONDS)()
    run = await RecoveryUnderTest(transactions, providers=providers, limit=BlastRadius(percent=OFF_PERCENT)).run()

    async with transactions.read() as reading:
        checked = await reading.rows(
            "SELECT task_id, verdict, outcome, detail ->> 'message' AS message FROM task_events"
            " WHERE run_id = :run AND kind = 'checked'",
            run=run,
        )
        entries = await reading.rows(
            "SELECT task_id, kind, amount FROM credit_transactions WHERE kind IN ('charge', 'release', 'refund')"
        )
    assert {row["task_id"]: (row["verdict"], row["outcome"]) for row in checked} == {
        task: (row["verdict"], row["outcome"]) for task, row in told.items()
    }
    assert {row["task_id"]: (row["kind"], row["amount"]) for row in entries} == {
        task: (row["settlement"], row["credits"]) for task, row in told.items() if row["settlement"]
    }
    messages = {row["task_id"]: row["message"] for row in checked if row["outcome"] != "completed"}
    assert messages == {task: row["message"] for task, row in told.items() if row["outcome"] != "completed"}
    refused = Counter(row["outcome"] for row in told.values() if "does not fit" in row["message"])
    assert refused == {"error": 1, "needs_attention": 1}
    assert told[unstamped]["outcome"] == "completed"
    assert await broken_truths(transactions) == {}


async def test_a_dry_run_writes_one_doorbell_and_messages_that_name_it(
    transactions: Transactions, factory: Factory, dry: DryRunner
) -> None:
    await factory.task()
    await dry.run()
    async with transactions.read() as reading:
        rows = await reading.rows(
            "SELECT type, CAST(body AS jsonb) AS body FROM outbox WHERE type LIKE 'run.%' ORDER BY type"
        )
    assert [row["type"] for row in rows] == ["run.finished", "run.started", "run.sweep"]
    assert [row["body"]["dry_run"] for row in rows[:2]] == [True, True]
    assert rows[0]["body"]["results"]["completed"] == 1


async def test_a_dry_run_tells_whether_a_run_would_stop_and_ask(
    transactions: Transactions, factory: Factory, providers: ScriptedProviders
) -> None:
    for at in range(6):
        task = await factory.task()
        if at < 4:
            providers.answers[f"p-{task.hex}"] = Failed("refused")
    strict = BlastRadius(percent=50, min_failed=4)
    noted = {
        name: await blast_radius_of(transactions, await DryRunner(transactions, providers, limit=limit).run(name))
        for name, limit in {"strict": strict, "mild": BlastRadius(percent=50, min_failed=5)}.items()
    }
    assert noted["strict"] == {"limitPercent": 50, "minFailed": 4, "wouldStop": True, "isHeld": False}
    assert noted["mild"]["wouldStop"] is False

    real = await RecoveryUnderTest(transactions, providers=providers, limit=strict).run()

    stopped = await run_row(transactions, real)
    assert stopped["status"] == "failed"
    assert "stopped" in stopped["error_message"]
    async with transactions.begin() as tx:
        await tx.execute("UPDATE tasks SET next_check_at = submitted_at WHERE status = 'processing'")
    held = await DryRunner(transactions, providers, limit=strict).run("held")
    assert (await blast_radius_of(transactions, held))["isHeld"] is True


async def test_a_dry_run_counts_in_no_metric(
    transactions: Transactions, factory: Factory, providers: ScriptedProviders, dry: DryRunner
) -> None:
    task = await factory.task()
    providers.answers[f"p-{task.hex}"] = Failed("refused")
    job = await factory.job("dry-only")
    before = _samples()
    run = await dry.run()
    async with transactions.begin() as tx:
        await tx.execute("UPDATE cron_job_executions SET job_name = :job WHERE id = :id", job=job, id=run)
    await MeasureBacklog(transactions)()
    assert _samples() == before
    assert REGISTRY.get_sample_value("backstop_last_run_finished_timestamp_seconds", {"job": job}) is None


def _samples() -> dict[tuple[str, str], float]:
    """What counts runs, tasks, credits and files, by name and labels."""
    counted = ("backstop_runs", "backstop_run_duration", "backstop_tasks_", "backstop_credits", "backstop_asset_bytes")
    return {
        (sample.name, str(sample.labels)): sample.value
        for metric in REGISTRY.collect()
        if metric.name.startswith(counted)
        for sample in metric.samples
        if not sample.name.endswith("_created")
    }


@dataclass
class Told:
    """Notes who was called."""

    calls: list[str] = field(default_factory=list)

    def of(self, name: str) -> Any:
        async def call(*_: object) -> None:
            self.calls.append(name)

        return call


@pytest.mark.parametrize(("dry_run", "calls"), [(True, ["start"]), (False, ["stamp", "start"])])
async def test_the_tick_of_a_dry_run_stamps_no_task(dry_run: bool, calls: list[str]) -> None:
    told = Told()
    parts: dict[str, Any] = dict.fromkeys(part.name for part in fields(Handlers))
    handlers = Handlers(**{**parts, "schedule_first_checks": told.of("stamp"), "start_run": told.of("start")})
    now = datetime.now(UTC)
    tick = TickDue(tick_id=UUID(int=1), job_name="job", slot="s", trigger="manual", scheduled_for=now, dry_run=dry_run)
    await handlers.on_tick_due(tick, Delivery("recovery.tick.due", UUID(int=2), None))
    assert told.calls == calls


async def test_five_thousand_tasks_are_walked_a_page_at_a_time(
    transactions: Transactions, factory: Factory, providers: ScriptedProviders
) -> None:
    user = await factory.user()
    async with transactions.begin() as tx:
        await tx.execute(
            "INSERT INTO tasks (id, user_id, kind, provider, provider_task_id, credits, billing, submitted_at,"
            " next_check_at) SELECT gen_random_uuid(), :user, 'video', 'fal', 'p-' || n, 0, 'none',"
            " now() - interval '1 hour', CASE WHEN n % 2 = 0 THEN now() - interval '30 minutes' END"
            " FROM generate_series(1, 5000) AS n",
            user=user,
        )
    dry = DryRunner(transactions, providers, places=16)
    pages: list[int] = []
    list_due_tasks = dry.carry.preview_run.list_due_tasks

    async def listed(*place: Any) -> DuePage:
        page = await list_due_tasks(*place)
        pages.append(len(page.tasks))
        return page

    dry.carry.preview_run = replace(dry.carry.preview_run, list_due_tasks=cast("Any", listed))
    run = await dry.run()
    told = await previews(transactions, run)
    assert [row["position"] for row in told] == list(range(1, 5001))
    assert len({row["task_id"] for row in told}) == 5000
    assert max(pages) == 100
    assert len(pages) <= 53
    assert (await run_row(transactions, run))["results"]["totalFound"] == 5000
