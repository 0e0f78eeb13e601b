"""`hold`: what waits for a person because a run would have failed too much, and the decision about it."""

from __future__ import annotations

import asyncio
import getpass
from typing import Annotated, NoReturn

import typer

from backstop.cli.database import command_transactions, database_address
from backstop.cli.output import console, local, moment, plain_table, print_json
from backstop.cli.runs import AsJson
from backstop_admin_api.application.decide_hold import AlreadyLifted, DecideHold, Decision, NoHold, Told
from backstop_admin_api.application.read_hold import Hold, ReadHold
from backstop_admin_api.entrypoints.shapes import DEFAULT_JOB

EXIT_NO_HOLD = 1
EXIT_LIFTED = 3

_DECISIONS: dict[str, Decision] = {"approve": "approve", "recheck": "recheck"}
_MEANING = {
    "approve": "The next run asks the providers once more, and what still fails then ends.",
    "recheck": "The next run asks the providers once more; nothing was approved.",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("hold")(hold)


def hold(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[approve|recheck] [JOB]", help=f"What to decide, and the job: {DEFAULT_JOB}."),
    ] = None,
    note: Annotated[str | None, typer.Option(help="Why, for the audit log and the timelines.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask again before approve.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the failures that wait for a decision, or decide.

    approve lets them end: credits go back, users are told. recheck asks the providers once more and approves nothing.
    Exit codes of a decision: 1 when nothing is held, 3 when somebody decided before.
    """
    decision, job = _meant(words or [])
    if decision is None and (note or yes):
        raise typer.BadParameter(f"{(words or ['nothing'])[0]!r} is no decision: approve or recheck")
    if decision is None:
        with database_address() as url:
            _show(asyncio.run(_read(url, job)), job, as_json=as_json)
        return
    if not (note or "").strip():
        raise typer.BadParameter("say why: --note TEXT")
    if decision == "approve" and not yes:
        typer.confirm("Let the withheld tasks fail, give their credits back and tell their users?", abort=True)
    with database_address() as url:
        answer = asyncio.run(_decide(url, job, decision, (note or "").strip()))
    match answer:
        case NoHold():
            _end(f"No failures of {job} are held.", EXIT_NO_HOLD)
        case AlreadyLifted(decision=before, lifted_by=who, lifted_at=at):
            _end(f"Nothing was done: {who} decided to {before} at {local(at)}.", EXIT_LIFTED)
        case Told(hold_id=hold_id):
            if as_json:
                print_json({"holdId": str(hold_id), "decision": decision})
            else:
                console.print(f"Recovery was told. {_MEANING[decision]}")


def _meant(words: list[str]) -> tuple[Decision | None, str]:
    decision = _DECISIONS.get(words[0]) if words else None
    rest = words[1:] if decision else words
    if len(rest) > 1:
        raise typer.BadParameter(f"{rest[0]!r} is neither approve nor recheck" if decision is None else "one job only")
    return decision, rest[0] if rest else DEFAULT_JOB


async def _read(url: str, job: str) -> Hold | None:
    async with command_transactions(url) as transactions:
        return await ReadHold(transactions)(job)


async def _decide(url: str, job: str, decision: Decision, note: str) -> Told | AlreadyLifted | NoHold:
    async with command_transactions(url) as transactions:
        return await DecideHold(transactions)(job, decision, actor=f"cli:{getpass.getuser()}", via="cli", note=note)


def _show(found: Hold | None, job: str, *, as_json: bool) -> None:
    if as_json:
        print_json(None if found is None else _as_json(found))
        return
    if found is None:
        console.print(f"No failures of {job} are held.")
        return
    console.print(
        f"Run {found.run_id} stopped at {local(found.held_at)}: it would have failed {found.failed_count} of"
        f" {found.checked_count} checked tasks, more than the limit of {found.limit_percent} %."
    )
    if found.withheld:
        rows = [
            {"provider": line.provider, "would be": line.outcome, "tasks": line.tasks, "credits": line.credits_returned}
            for line in found.withheld
        ]
        total = {"provider": "all", "would be": None, "tasks": found.tasks, "credits": found.credits_returned}
        console.print(plain_table(["provider", "would be", "tasks", "credits"], [*rows, total]))
    console.print(f"Decide: backstop hold approve|recheck {job} --note WHY", soft_wrap=True, markup=False)


def _as_json(found: Hold) -> dict[str, object]:
    return {
        "id": str(found.id),
        "jobName": found.job_name,
        "runId": str(found.run_id),
        "failedCount": found.failed_count,
        "checkedCount": found.checked_count,
        "limitPercent": found.limit_percent,
        "heldAt": moment(found.held_at),
        "tasks": found.tasks,
        "creditsReturned": found.credits_returned,
        "withheld": [
            {
                "provider": line.provider,
                "outcome": line.outcome,
                "tasks": line.tasks,
                "creditsReturned": line.credits_returned,
            }
            for line in found.withheld
        ],
    }


def _end(sentence: str, code: int) -> NoReturn:
    typer.echo(f"backstop: {sentence}", err=True)
    raise SystemExit(code)
