"""A run that would fail too much stops before it does, and nothing more is failed until a person has decided.

In each story 60 of 100 tasks fail, under a limit of half of what was checked, from 20 on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID, uuid4

import pytest
from sqlalchemy import RowMapping

from backstop_common.contracts import LiftHold
from backstop_common.database import Transactions
from backstop_common.ids import hold_id
from backstop_common.messaging import Delivery
from backstop_recovery.application.audit_invariants import AuditInvariants
from backstop_recovery.application.lift_hold import LiftFailureHold
from backstop_recovery.application.withhold_failures import HeldMeanwhileError, require_within_limit
from backstop_recovery.domain.blast_radius import BlastRadius
from backstop_recovery.domain.decision import Policy
from backstop_recovery.domain.resolution import Ended, Resolution
from backstop_recovery.domain.verdict import Failed, NotFound, StillRunning, Unknown, UnknownReason
from tests.support.factories import JOB, Factory
from tests.support.recovery import RecoveryUnderTest, broken_truths

NO = Failed("the provider says no", "nsfw")


@dataclass
class Story:
    """One user's tasks, of which the first `failing` fail at their provider."""

    transactions: Transactions
    worker: RecoveryUnderTest
    other: RecoveryUnderTest
    tasks: list[UUID] = field(default_factory=list)

    async def begin(self, count: int = 100, failing: int = 60) -> None:
        factory = Factory(self.transactions)
        await factory.job()
        user = await factory.user("ada", balance=10_000)
        self.tasks = [await factory.task(user, credits=10, age_seconds=2000 - number) for number in range(count)]
        self.fail(self.tasks[:failing])

    def fail(self, tasks: Sequence[UUID]) -> None:
        for worker in (self.worker, self.other):
            worker.providers.answers |= {f"p-{task.hex}": NO for task in tasks}

    def heal(self) -> None:
        for worker in (self.worker, self.other):
            worker.providers.answers.clear()

    async def resolved(self, worker: RecoveryUnderTest, run: UUID, count: int = 100) -> list[Resolution]:
        """So many claims of a run, failures first."""
        tasks = await worker.claim_tasks.for_run(run, limit=count)
        assert len(tasks) == count
        resolutions = [await worker.resolve_task(task) for task in tasks]
        return sorted(resolutions, key=lambda resolution: not isinstance(resolution, Ended))

    async def stopped(self) -> UUID:
        """A run that was stopped; nothing is in flight."""
        return await self.worker.run("stopped")

    async def next_run(self, slot: str = "next") -> RowMapping:
        async with self.transactions.begin() as tx:
            await tx.execute("UPDATE tasks SET next_check_at = clock_timestamp() WHERE status = 'processing'")
        return await self.run_row(await self.worker.run(slot))

    async def run_row(self, run: UUID) -> RowMapping:
        return await self.row("SELECT * FROM cron_job_executions WHERE id = :id", id=run)

    async def lift(
        self, decision: Literal["approve", "recheck"], *, hold: UUID | None = None, event: UUID | None = None
    ) -> bool:
        hold = hold or await self.value("SELECT id FROM failure_holds WHERE lifted_at IS NULL")
        request = LiftHold(hold_id=hold, decision=decision, actor="grace", note="looked at it")
        delivery = Delivery("recovery.hold.lift", event or uuid4(), None)
        return await LiftFailureHold(self.transactions)(request, delivery)

    async def row(self, sql: str, **parameters: object) -> RowMapping:
        async with self.transactions.read() as reading:
            row = await reading.row(sql, **parameters)
        assert row is not None
        return row

    async def value(self, sql: str, **parameters: object) -> Any:
        async with self.transactions.read() as reading:
            return await reading.value(sql, **parameters)

    async def count(self, where: str) -> int:
        return int(await self.value(f"SELECT count(*) FROM {where}"))  # noqa: S608 - a test's own words

    async def statuses(self) -> dict[str, int]:
        async with self.transactions.read() as reading:
            rows = await reading.rows("SELECT status, count(*) AS n FROM tasks GROUP BY status")
        return {row["status"]: row["n"] for row in rows}

    async def releases(self) -> int:
        return await self.count("credit_transactions WHERE kind = 'release'")

    async def is_sound(self) -> bool:
        """Money, labels and events agree: by the questions of the tests and by those of the product."""
        findings = await AuditInvariants(self.transactions)()
        assert not [finding for finding in findings if finding.count]
        failed = await self.count("tasks WHERE status = 'failed'")
        assert await self.count("outbox WHERE type = 'task.failed'") == failed == await self.releases()
        return await broken_truths(self.transactions) == {}


@pytest.fixture
async def story(transactions: Transactions) -> Story:
    story = Story(transactions, RecoveryUnderTest(transactions), RecoveryUnderTest(transactions))
    await story.begin()
    return story


async def test_one_worker_fails_no_more_than_allowed_before_the_stop(story: Story) -> None:
    run = await story.worker.start_run()
    for resolution in await story.resolved(story.worker, run):
        await story.worker.settle_within_limit([resolution])

    assert await story.releases() == 19
    assert await story.statuses() == {"failed": 19, "processing": 41, "completed": 40}
    assert await story.count("tasks WHERE withheld_at IS NOT NULL AND withheld_outcome = 'failed'") == 41
    assert await story.count("credit_transactions WHERE kind <> 'grant'") == 100 + 19 + 40
    assert await story.is_sound()


async def test_a_group_that_is_too_much_releases_nothing_of_itself(story: Story) -> None:
    run = await story.worker.start_run()
    group = await story.resolved(story.worker, run)
    await story.worker.settle_within_limit(group)

    assert await story.statuses() == {"processing": 60, "completed": 40}
    assert await story.releases() == 0
    assert await story.is_sound()


@pytest.mark.parametrize(("size", "allowed"), [(1, 19), (5, 15), (15, 15)])
async def test_two_workers_at_once_fail_no_more_than_allowed_before_the_stop(
    story: Story, size: int, allowed: int
) -> None:
    run = await story.worker.start_run()
    failures = [
        resolution
        for worker in (story.worker, story.other)
        for resolution in await story.resolved(worker, run, 50)
        if isinstance(resolution, Ended)
    ]
    assert len(failures) == 60

    async def settle(worker: RecoveryUnderTest, mine: list[Ended]) -> None:
        for at in range(0, len(mine), size):
            for _ in range(3):
                try:
                    await worker.settle_within_limit(mine[at : at + size])
                    break
                except HeldMeanwhileError:
                    continue

    await asyncio.gather(*(settle(worker, failures[i::4]) for i, worker in enumerate([story.worker, story.other] * 2)))

    assert await story.releases() == allowed
    assert await story.count("tasks WHERE withheld_at IS NOT NULL") == 60 - allowed
    assert await story.count("failure_holds") == 1
    assert await story.count("outbox WHERE type = 'run.finished'") == 1
    assert await story.is_sound()


async def test_two_whole_workers_together_stay_within_the_limit(story: Story) -> None:
    run = await story.worker.start_run()
    sweeps = [story.worker.sweep(), story.other.sweep()]

    async def work(at: int) -> None:
        while await sweeps[at].run_once():
            pass

    await asyncio.gather(work(0), work(1))

    results = (await story.run_row(run))["results"]
    decided = results["totalFound"] - results.get("withheld", 0)
    assert results["failed"] < 20 or results["failed"] * 2 <= decided
    assert await story.releases() == results["failed"]
    assert await story.count("failure_holds WHERE lifted_at IS NULL") == 1
    assert await story.is_sound()


async def test_the_stopped_run_says_why_and_what_to_do(story: Story) -> None:
    run = await story.worker.start_run()
    group = await story.resolved(story.worker, run)
    await story.worker.settle_within_limit(group[50:])
    await story.worker.settle_within_limit(group[:50])

    row = await story.run_row(run)
    assert row["status"] == "failed"
    assert row["error_message"] == (
        "stopped: it would have failed 60 of 100 checked tasks, more than the limit of 50 %; nothing more is failed"
        " until somebody decides: backstop hold approve|recheck process-stuck-tasks"
    )
    assert row["results"] == {
        "completed": 40,
        "failed": 10,
        "stillProcessing": 50,
        "errors": 0,
        "totalFound": 100,
        "withheld": 50,
    }
    hold = await story.row("SELECT * FROM failure_holds")
    assert (hold["id"], hold["run_id"], hold["job_name"]) == (hold_id(run), run, JOB)
    assert (hold["failed_count"], hold["checked_count"], hold["limit_percent"]) == (60, 100, 50)


async def test_the_timeline_tells_what_a_withheld_task_would_have_been(story: Story) -> None:
    await story.stopped()
    row = await story.row("SELECT * FROM task_events WHERE kind = 'withheld' ORDER BY id LIMIT 1")
    assert (row["verdict"], row["outcome"]) == ("failed", "withheld")
    assert row["detail"] | {"stuckCause": None} == {
        "ending": "failed",
        "code": "nsfw",
        "message": "the provider says no",
        "credits": 10,
        "recheckSeconds": 300.0,
        "stuckCause": None,
    }


async def test_a_task_in_flight_when_its_run_was_stopped_is_withheld(story: Story) -> None:
    run = await story.worker.start_run()
    late, *group = await story.resolved(story.worker, run)
    await story.worker.settle_within_limit(group)

    await story.worker.settle_within_limit([late])

    row = await story.row("SELECT status, withheld_outcome, lease_holder FROM tasks WHERE id = :id", id=late.task.id)
    assert dict(row) == {"status": "processing", "withheld_outcome": "failed", "lease_holder": None}
    assert await story.releases() == 0


async def test_tasks_in_flight_when_their_run_was_stopped_are_withheld_after_a_recheck_too(story: Story) -> None:
    run = await story.worker.start_run()
    resolutions = await story.resolved(story.worker, run)
    late, group = resolutions[:10], resolutions[10:]
    await story.worker.settle_within_limit(group)
    assert await story.lift("recheck")

    await story.worker.settle_within_limit(late)

    assert await story.releases() == 0
    assert await story.count("tasks WHERE withheld_at IS NOT NULL") == 10
    await story.next_run()
    assert await story.count("failure_holds WHERE lifted_at IS NULL") == 1
    assert await story.is_sound()


async def test_a_run_that_is_stopped_while_a_group_commits_takes_that_group_back(story: Story) -> None:
    run = await story.worker.start_run()
    late, *group = await story.resolved(story.worker, run)
    async with story.transactions.begin() as tx:
        await story.worker.settle_within_limit(group)
        with pytest.raises(HeldMeanwhileError):
            await require_within_limit(tx, [late], {}, BlastRadius())


async def test_the_next_run_completes_successes_and_withholds_failures(story: Story) -> None:
    await story.stopped()
    new = await Factory(story.transactions).task("ada", credits=10)
    before = await story.releases()

    run = await story.next_run()

    assert (run["status"], run["error_message"]) == ("completed", None)
    assert run["results"]["failed"] == 0
    assert run["results"]["withheld"] == run["results"]["stillProcessing"] == 60 - before
    status = await story.value("SELECT status FROM tasks WHERE id = :id", id=new)
    assert (status, await story.releases()) == ("completed", before)
    assert await story.count("failure_holds") == 1
    assert await story.is_sound()


async def test_a_single_check_outside_a_run_is_withheld_while_the_hold_is_open(story: Story) -> None:
    await story.stopped()
    new = await Factory(story.transactions).task("ada", credits=10)
    story.fail([new])
    task = await story.worker.claim_tasks.one(new)
    assert task is not None
    before = await story.releases()

    await story.worker.settle_within_limit([await story.worker.resolve_task(task)])

    assert await story.value("SELECT withheld_outcome FROM tasks WHERE id = :id", id=new) == "failed"
    assert await story.releases() == before


async def test_a_single_check_outside_a_run_fails_its_task_while_nothing_is_held(story: Story) -> None:
    task = await story.worker.claim_tasks.one(story.tasks[0])
    assert task is not None
    await story.worker.settle_within_limit([await story.worker.resolve_task(task)])
    assert await story.statuses() == {"failed": 1, "processing": 99}


async def test_what_was_approved_ends_once_with_its_credits_back(story: Story) -> None:
    await story.stopped()
    assert await story.lift("approve")
    assert await story.count("tasks WHERE withheld_at IS NOT NULL") == 0

    run = await story.next_run()

    assert run["status"] == "completed"
    assert await story.statuses() == {"failed": 60, "completed": 40}
    assert await story.releases() == 60
    hold = await story.row("SELECT * FROM failure_holds")
    assert (hold["decision"], hold["lifted_by"], hold["note"]) == ("approve", "grace", "looked at it")
    assert await story.is_sound()


async def test_an_approval_is_for_the_ending_and_a_provider_that_went_on_is_asked_afresh(story: Story) -> None:
    await story.stopped()
    await story.lift("approve")
    for worker in (story.worker, story.other):
        worker.providers.answers = dict.fromkeys(worker.providers.answers, StillRunning(queued=False, state="running"))
    await story.next_run()
    assert await story.count("tasks WHERE approved_at IS NOT NULL AND status = 'processing'") == 0


async def test_an_approval_outlives_an_answer_that_did_not_come(story: Story) -> None:
    await story.stopped()
    withheld = await story.count("tasks WHERE withheld_at IS NOT NULL")
    await story.lift("approve")
    for worker in (story.worker, story.other):
        worker.providers.answers = dict.fromkeys(worker.providers.answers, Unknown(UnknownReason.SERVER_ERROR, "500"))
    await story.next_run("away")
    assert await story.count("tasks WHERE approved_at IS NOT NULL AND status = 'processing'") == withheld
    story.fail(story.tasks[:60])
    await story.next_run("back")
    assert await story.statuses() == {"failed": 60, "completed": 40}


async def test_failures_that_nobody_approved_are_counted_without_the_approved_ones(story: Story) -> None:
    await story.stopped()
    await story.lift("approve")
    factory = Factory(story.transactions)
    story.fail([await factory.task("ada", credits=10) for _ in range(19)])

    run = await story.next_run()

    assert run["status"] == "completed"
    assert await story.statuses() == {"failed": 79, "completed": 40}


async def test_a_recheck_with_a_healed_provider_completes_the_tasks(story: Story) -> None:
    await story.stopped()
    before = await story.releases()
    await story.lift("recheck")
    story.heal()

    run = await story.next_run()

    assert run["status"] == "completed"
    assert await story.statuses() == {"failed": before, "completed": 100 - before} or before == 0
    assert await story.count("tasks WHERE withheld_at IS NOT NULL OR approved_at IS NOT NULL") == 0
    assert await story.is_sound()


async def test_a_recheck_with_a_provider_that_says_the_same_stops_again(story: Story) -> None:
    await story.stopped()
    await story.lift("recheck")
    run = await story.next_run()
    assert run["status"] == "failed"
    assert await story.count("failure_holds WHERE lifted_at IS NULL") == 1
    assert await story.count("failure_holds") == 2
    assert await story.is_sound()


async def test_a_provider_that_heals_while_the_hold_is_open_completes_the_tasks(story: Story) -> None:
    await story.stopped()
    story.heal()
    await story.next_run()
    assert await story.count("tasks WHERE withheld_at IS NOT NULL") == 0
    assert await story.count("failure_holds WHERE lifted_at IS NULL") == 1


async def test_two_people_who_decide_at_once_have_one_effect(story: Story) -> None:
    await story.stopped()
    withheld = await story.count("tasks WHERE withheld_at IS NOT NULL")
    hold = await story.value("SELECT id FROM failure_holds")

    answers = await asyncio.gather(*(story.lift("approve", hold=hold) for _ in range(2)))

    assert sorted(answers) == [False, True]
    assert await story.count("task_events WHERE kind = 'hold_lifted'") == withheld
    await story.next_run()
    assert await story.releases() == 60
    assert await story.is_sound()


async def test_a_decision_that_is_delivered_again_does_nothing_more(story: Story) -> None:
    await story.stopped()
    withheld = await story.count("tasks WHERE withheld_at IS NOT NULL")
    hold, event = await story.value("SELECT id FROM failure_holds"), uuid4()
    assert await story.lift("recheck", hold=hold, event=event)
    await story.next_run()
    assert not await story.lift("recheck", hold=hold, event=event)
    assert await story.count("failure_holds WHERE lifted_at IS NULL") == 1
    assert await story.count("task_events WHERE kind = 'hold_lifted'") == withheld


async def test_a_withheld_denial_is_still_confirmed_when_it_was_approved(transactions: Transactions) -> None:
    policy = Policy(not_found_confirmations=2, not_found_grace_seconds=0)
    limit = BlastRadius(percent=0, min_failed=1)
    worker = RecoveryUnderTest(transactions, policy=policy, limit=limit)
    story = Story(transactions, worker, worker)
    await story.begin(count=1)
    worker.providers.answers = {f"p-{story.tasks[0].hex}": NotFound("no such id")}
    await story.worker.run("denied")
    await story.next_run("confirmed")
    assert await story.value("SELECT withheld_outcome FROM tasks") == "failed"
    await story.lift("approve")
    await story.next_run()
    assert await story.statuses() == {"failed": 1}


async def test_a_limit_of_a_hundred_percent_stops_nothing(story: Story) -> None:
    story.worker.limit = BlastRadius(percent=100)
    run = await story.run_row(await story.worker.run())
    assert (run["status"], run["results"]["failed"]) == ("completed", 60)
