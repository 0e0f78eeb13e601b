"""A hold on failures as recovery leaves it: the stopped run, the withheld tasks, the open row."""

from __future__ import annotations

from uuid import UUID

from backstop_common.database import Transactions
from backstop_common.ids import hold_id
from tests.support.factories import JOB, Factory

SENTENCE = (
    "stopped: it would have failed 31 of 40 checked tasks, more than the limit of 50 %; nothing more is failed until"
    f" somebody decides: backstop hold approve|recheck {JOB}"
)


async def open_hold(transactions: Transactions, *, replicate: int = 3, fal: int = 1) -> UUID:
    """The job is stopped; so many tasks of each provider are withheld, 10 credits each. The id of the hold."""
    factory = Factory(transactions)
    run = await factory.run(
        status="failed",
        error_message=SENTENCE,
        results={"completed": 9, "failed": 0, "stillProcessing": 31, "errors": 0, "totalFound": 40, "withheld": 31},
    )
    for number in range(replicate + fal):
        provider, outcome = ("replicate", "failed") if number < replicate else ("fal", "asset_lost")
        task = await factory.task(provider=provider, credits=10)
        async with transactions.begin() as tx:
            await tx.execute(
                "UPDATE tasks SET withheld_at = clock_timestamp(), withheld_outcome = :outcome WHERE id = :id",
                id=task,
                outcome=outcome,
            )
    hold = hold_id(run)
    async with transactions.begin() as tx:
        await tx.execute(
            "INSERT INTO failure_holds (id, job_name, run_id, failed_count, checked_count, limit_percent)"
            " VALUES (:id, :job, :run, 31, 40, 50)",
            id=hold,
            job=JOB,
            run=run,
        )
    return hold


async def lift(transactions: Transactions, hold: UUID, decision: str = "recheck", by: str = "grace") -> None:
    """As if recovery had obeyed."""
    async with transactions.begin() as tx:
        await tx.execute(
            "UPDATE failure_holds SET lifted_at = clock_timestamp(), lifted_by = :by, decision = :decision,"
            " note = 'looked' WHERE id = :id",
            id=hold,
            by=by,
            decision=decision,
        )
