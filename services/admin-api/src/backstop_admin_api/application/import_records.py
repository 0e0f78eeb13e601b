"""Import a file of users and tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy.exc import DBAPIError

from backstop_admin_api.application.import_lines import Line, LineError, parse_line
from backstop_admin_api.application.import_users import import_users
from backstop_admin_api.application.intake import check_provider, take_in
from backstop_admin_api.application.intake_outcomes import (
    AlreadyKnown,
    Differs,
    Invalid,
    NotEnoughCredits,
    Outcome,
    Registered,
)
from backstop_admin_api.application.records import ImportedTask, ImportedUser
from backstop_common.database import Transaction, Transactions
from backstop_common.database.refusals import refusal
from backstop_common.errors import TransientError
from backstop_common.providers.catalogue import Catalogue

BATCH = 1000
KEPT_ERRORS = 1000

Begin = Callable[[], AbstractAsyncContextManager[Transaction]]
Result = Registered | AlreadyKnown | LineError


@dataclass(slots=True)
class ImportReport:
    """What a file came to. `errors` keeps the first `KEPT_ERRORS`; `failed` counts all of them."""

    users: int = 0
    tasks: int = 0
    tasks_known: int = 0
    failed: int = 0
    errors: list[LineError] = field(default_factory=list)

    def add(self, result: Result | None) -> None:
        """Count a line; None is a user."""
        match result:
            case LineError():
                self.failed += 1
                if len(self.errors) < KEPT_ERRORS:
                    self.errors.append(result)
            case Registered():
                self.tasks += 1
            case AlreadyKnown():
                self.tasks_known += 1
            case None:
                self.users += 1


class _RefusedError(Exception):
    """Lines that must not stay; the others are tried again without them."""

    def __init__(self, refused: dict[int, LineError]) -> None:
        super().__init__()
        self.refused = refused


class _RehearsalOverError(Exception):
    """Nothing of a dry run may stay."""


def _ignore(_: object) -> None:
    return None


@dataclass(frozen=True, slots=True)
class ImportRecords:
    """Import lines of users and tasks, as the routes would take them, a thousand in one transaction.

    1. A line that cannot be read, or whose provider cannot be asked, is an error and is left out.
    2. A batch is one transaction: users first, then tasks. Lines that are refused undo it, and it is done again without
       them. When the database refuses the batch, its lines are done one by one.
    3. The same file again changes nothing. A dry run does all of it in one transaction and undoes that; meanwhile it
       holds the locks of what it touched.

    A user's line has to come before the tasks of the user.

    Raises:
        TransientError: the database is away; what was imported before stays, and the same file can be imported again.
    """

    transactions: Transactions
    catalogue: Catalogue

    async def __call__(
        self,
        lines: Iterable[bytes],
        *,
        dry_run: bool = False,
        on_progress: Callable[[int], None] = _ignore,
        on_error: Callable[[LineError], None] = _ignore,
    ) -> ImportReport:
        """All lines; `on_progress` is told the bytes that are done."""
        report = ImportReport()

        def tell(result: Result | None) -> None:
            report.add(result)
            if isinstance(result, LineError):
                on_error(result)

        if dry_run:
            async with _rehearsal(self.transactions) as begin:
                await self._import(lines, begin, tell, on_progress)
        else:
            await self._import(lines, self.transactions.begin, tell, on_progress)
        return report

    async def _import(
        self,
        lines: Iterable[bytes],
        begin: Begin,
        tell: Callable[[Result | None], None],
        on_progress: Callable[[int], None],
    ) -> None:
        for batch, size in _batches(self._readable(lines)):
            results: dict[int, Result | None] = {item.line: item for item in batch if isinstance(item, LineError)}
            results |= await _take(begin, [item for item in batch if isinstance(item, Line)])
            for number in sorted(results):
                tell(results[number])
            on_progress(size)

    def _readable(self, lines: Iterable[bytes]) -> Iterable[tuple[Line | LineError | None, int]]:
        for number, text in enumerate(lines, 1):
            item = parse_line(number, text)
            if isinstance(item, Line) and isinstance(item.record, ImportedTask):
                problem = check_provider(item.record, self.catalogue)
                yield (item if problem is None else LineError(number, problem.field, problem.message)), len(text)
            else:
                yield item, len(text)


def _batches(
    items: Iterable[tuple[Line | LineError | None, int]],
) -> Iterable[tuple[list[Line | LineError], int]]:
    """Groups of lines with their bytes; no user is twice in one."""
    batch: list[Line | LineError] = []
    users: set[str] = set()
    size = 0
    for item, length in items:
        record = item.record if isinstance(item, Line) else None
        again = isinstance(record, ImportedUser) and record.id in users
        if batch and (again or len(batch) == BATCH):
            yield batch, size
            batch, users, size = [], set(), 0
        size += length
        if item is not None:
            batch.append(item)
        if isinstance(record, ImportedUser):
            users.add(record.id)
    yield batch, size


async def _take(begin: Begin, lines: Sequence[Line]) -> dict[int, Result | None]:
    """The results by line; None is a user."""
    results: dict[int, Result | None] = {}
    while lines:
        try:
            async with begin() as tx:
                return results | await _all_of(tx, lines)
        except _RefusedError as error:
            results |= error.refused
            lines = [line for line in lines if line.number not in error.refused]
        except (DBAPIError, TransientError) as error:
            if len(lines) > 1:
                for line in lines:
                    results |= await _take(begin, [line])
                return results
            if isinstance(error, TransientError) or error.connection_invalidated:
                raise
            return results | {lines[0].number: LineError(lines[0].number, None, refusal(error))}
    return results


async def _all_of(tx: Transaction, lines: Sequence[Line]) -> dict[int, Result | None]:
    users = {line.record.id: line for line in lines if isinstance(line.record, ImportedUser)}
    tasks = [line for line in lines if isinstance(line.record, ImportedTask)]
    wrong = await import_users(
        tx, {key: line.record for key, line in users.items() if isinstance(line.record, ImportedUser)}
    )
    outcomes: list[Outcome] = []
    if tasks:
        outcomes = await take_in(
            tx, [line.record for line in tasks if isinstance(line.record, ImportedTask)], via="import"
        )
    results: dict[int, Result | None] = {
        line.number: _result(line.number, wrong.get(key)) for key, line in users.items()
    }
    results |= {line.number: _result(line.number, outcome) for line, outcome in zip(tasks, outcomes, strict=True)}
    refused = {number: result for number, result in results.items() if isinstance(result, LineError)}
    if refused:
        raise _RefusedError(refused)
    return results


def _result(number: int, outcome: Outcome | None) -> Result | None:
    match outcome:
        case Invalid(field=name, message=message) | Differs(field=name, message=message):
            return LineError(number, name, message)
        case NotEnoughCredits(required=required, available=available):
            message = f"the hold of {required} credits does not fit: the user has {available} that are not frozen"
            return LineError(number, "credits", message)
        case Registered() | AlreadyKnown() | None:
            return outcome


@asynccontextmanager
async def _rehearsal(transactions: Transactions) -> AsyncIterator[Begin]:
    """Batches become savepoints of one transaction that is undone in the end."""
    with suppress(_RehearsalOverError):
        async with transactions.begin() as tx:

            @asynccontextmanager
            async def savepoint() -> AsyncIterator[Transaction]:
                async with tx.connection.begin_nested():
                    yield tx

            yield savepoint
            raise _RehearsalOverError
