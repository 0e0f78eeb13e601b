"""Reading and writing, as types: `transactions.begin()` is the only way to write or to publish.

A clean exit commits state and messages together; an exception rolls both back. A lost connection, a deadlock or a
server that is starting is a `TransientError`: the caller tries again, and guards and unique keys make the second try
harmless even when the first one did commit and only its answer was lost.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from backstop_common.contracts import Message
from backstop_common.database.refusals import cause_of, sqlstate
from backstop_common.errors import TransientError
from backstop_common.outbox.writing import Envelope, insert_envelopes

_TRANSIENT_CLASSES = ("08", "40", "53", "57")
"""SQLSTATE classes: connection, rollback (deadlock, serialisation), resources, operator
intervention (PostgreSQL documentation, appendix A)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Statements that change nothing."""

    connection: AsyncConnection

    async def rows(self, sql: str, **parameters: object) -> Sequence[RowMapping]:
        """All rows of a statement, each by column name."""
        return (await self.connection.execute(text(sql), parameters)).mappings().all()

    async def row(self, sql: str, **parameters: object) -> RowMapping | None:
        """The first row, or None."""
        return (await self.connection.execute(text(sql), parameters)).mappings().first()

    async def value(self, sql: str, **parameters: object) -> Any:
        """The first column of the first row, or None."""
        return (await self.connection.execute(text(sql), parameters)).scalar()


@dataclass(frozen=True, slots=True)
class Transaction(Reading):
    """Statements and messages that become true together, or not at all."""

    published: list[Envelope] = field(default_factory=list)

    async def execute(self, sql: str, **parameters: object) -> int:
        """Run a statement; the number of rows it changed."""
        return (await self.connection.execute(text(sql), parameters)).rowcount

    async def execute_many(self, sql: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Run a statement once per row of parameters; nothing for no rows."""
        if rows:
            await self.connection.execute(text(sql), [dict(row) for row in rows])

    async def publish(
        self,
        message: Message,
        *,
        event_id: UUID,
        correlation_id: UUID | str | None = None,
        delay_seconds: float = 0.0,
    ) -> None:
        """Put a message into the outbox of this transaction; it leaves after the delay."""
        await self.publish_all(
            [Envelope.of(message, event_id=event_id, correlation_id=correlation_id, delay_seconds=delay_seconds)]
        )

    async def publish_all(self, envelopes: Iterable[Envelope]) -> None:
        """Put several messages into the outbox in one statement."""
        added = list(envelopes)
        await insert_envelopes(self.connection, added)
        self.published.extend(added)

    async def first_time(self, consumer: str, event_id: UUID) -> bool:
        """Whether this consumer sees this message for the first time; remembered when the transaction commits."""
        inserted = await self.execute(
            "INSERT INTO inbox (consumer, event_id) VALUES (:consumer, :event_id) ON CONFLICT DO NOTHING",
            consumer=consumer,
            event_id=event_id,
        )
        return inserted == 1


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Transactions:
    """The way to the database. `has_messages` is called after a commit that published (it wakes the relay here)."""

    engine: AsyncEngine
    has_messages: Callable[[], None] = _nothing

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """A transaction that commits on a clean exit.

        Raises:
            TransientError: the database is away, or this transaction lost against another one.
        """
        with _translated():
            async with self.engine.begin() as connection:
                transaction = Transaction(connection)
                yield transaction
        if transaction.published:
            self.has_messages()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Reading]:
        """A read-only transaction: all its statements see one snapshot.

        Raises:
            TransientError: the database is away.
        """
        with _translated():
            async with self.engine.connect() as connection:
                yield Reading(
                    await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OSError, PoolTimeoutError) as error:
        raise TransientError(f"the database is not reachable: {type(error).__name__}") from error
    except DBAPIError as error:
        if error.connection_invalidated or sqlstate(error).startswith(_TRANSIENT_CLASSES):
            cause = type(cause_of(error)).__name__
            raise TransientError(f"the database did not finish the transaction: {cause}") from error
        raise
