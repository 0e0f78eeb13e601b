"""`task`: everything known about one task, and what a person may do about it."""

from __future__ import annotations

import asyncio
import getpass
from enum import StrEnum
from typing import Annotated, NoReturn, assert_never
from uuid import UUID

import typer

from backstop.cli.database import command_transactions, database_address
from backstop.cli.output import as_written, console, local, plain_table, print_json
from backstop.cli.runs import AsJson
from backstop_admin_api.application.read_task import ReadableTask, ReadTask
from backstop_admin_api.application.request_action import Accepted, AlreadyEnded, NoSuchTask, RequestAction
from backstop_admin_api.entrypoints.task_shapes import TaskShape

EXIT_NOT_FOUND = 1
EXIT_ENDED = 3


class Wish(StrEnum):
    """What to do about the task."""

    RECOVER = "recover"
    FAIL = "fail"
    IGNORE = "ignore"


_SURE = {
    Wish.FAIL: "End the task as failed, give its credits back and tell the user?",
    Wish.IGNORE: "Leave the task alone for good, with its credits as they are?",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("task")(task)


def task(
    task_id: Annotated[UUID, typer.Argument(metavar="ID", help="The task's id.")],
    action: Annotated[
        Wish | None,
        typer.Option(help="recover: check it now. fail: end it, credits back. ignore: leave it alone for good."),
    ] = None,
    note: Annotated[str | None, typer.Option(help="Why, for the audit log and the timeline.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask again before fail and ignore.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show one task and its story, or act on it.

    Exit codes: 1 when there is no such task, 3 when it has ended and stays as it is.
    """
    if action in _SURE and not yes:
        typer.confirm(_SURE[action], abort=True)
    with database_address() as url:
        if action is not None:
            asyncio.run(_act(url, task_id, action, note))
            if as_json:
                print_json({"taskId": str(task_id), "action": action.value})
            else:
                console.print(f"{action.value.capitalize()} was requested; recovery carries it out within moments.")
            return
        found = asyncio.run(_read(url, task_id))
    if as_json:
        print_json(TaskShape.of(found).model_dump(mode="json", by_alias=True))
    else:
        _print(found)


async def _read(url: str, task_id: UUID) -> ReadableTask:
    async with command_transactions(url) as transactions:
        found = await ReadTask(transactions)(task_id)
    if found is None:
        _end(f"There is no task {task_id}.", EXIT_NOT_FOUND)
    return found


async def _act(url: str, task_id: UUID, action: Wish, note: str | None) -> None:
    async with command_transactions(url) as transactions:
        answer = await RequestAction(transactions)(
            task_id, action.value, actor=f"cli:{getpass.getuser()}", via="cli", note=note
        )
    match answer:
        case Accepted():
            return
        case AlreadyEnded(status=status):
            _end(f"The task is {status} already, and stays so.", EXIT_ENDED)
        case NoSuchTask():
            _end(f"There is no task {task_id}.", EXIT_NOT_FOUND)
        case _:
            assert_never(answer)


def _print(found: ReadableTask) -> None:
    console.print(as_written(f"{found.id}  {found.kind} of {found.user_id}: {found.status}"), style="bold")
    console.print(
        as_written(
            f"{found.provider} {found.provider_task_id or '(no id yet)'}, submitted {local(found.submitted_at)},"
            f" {found.credits} credits ({found.billing})"
        ),
        soft_wrap=True,
    )
    if found.failure_message:
        console.print(as_written(f"{found.failure_code or 'error'}: {found.failure_message}"), soft_wrap=True)
    if found.stuck_cause:
        console.print(f"stuck: {found.stuck_cause.replace('_', ' ')}")
    for asset in found.assets:
        where = as_written(f"{asset.role}: {asset.url or asset.key} ({asset.size_bytes:,} bytes)")
        console.print(where, soft_wrap=True)
    rows = [
        {
            "at": local(event.at),
            "what": event.kind,
            "verdict": event.verdict,
            "outcome": event.outcome,
            "detail": ", ".join(f"{name} {value}" for name, value in event.detail.items() if value is not None),
        }
        for event in found.timeline
    ]
    console.print()
    console.print(plain_table(["at", "what", "verdict", "outcome", "detail"], rows))


def _end(sentence: str, code: int) -> NoReturn:
    typer.echo(f"backstop: {sentence}", err=True)
    raise SystemExit(code)
