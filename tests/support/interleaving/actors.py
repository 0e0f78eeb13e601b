"""An actor: one piece of work on a connection of its own, that stops before every statement until it is let on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.util import await_only

from backstop_common.database import Transactions, create_engine
from tests.support.interleaving.steps import Schema, Step


class CutError(BaseException):
    """The process of an actor died here: nothing of its code goes on."""


class Actor:
    """Real use cases get `transactions`; their statements, commits and rollbacks pass a gate here.

    BEGIN is no step of its own: PostgreSQL decides nothing before the first statement. A rollback is one, because it
    lets go of locks. `perform` starts some work; the actor then either rests at the gate (`pending` is what it wants
    to do next) or is done. An actor does one thing after another: two statements at once are an error of the test.
    """

    def __init__(self, name: str, database_url: str, schema: Schema) -> None:
        self.name = name
        self.pending: Step | None = None
        self.backend: int | None = None
        self.is_waiting_for_a_lock = False
        self._schema = schema
        self._engine = create_engine(database_url, application_name=f"actor-{name}", pool_size=1)
        self.transactions = Transactions(self._engine)
        self._work: asyncio.Task[object] | None = None
        self._permission: asyncio.Future[None] | None = None
        self._rests = asyncio.Event()
        self._written: frozenset[str] = frozenset()
        self._is_free = False
        event.listen(self._engine.sync_engine, "before_cursor_execute", self._before_statement)
        event.listen(self._engine.sync_engine, "commit", self._before_commit)
        event.listen(self._engine.sync_engine, "rollback", self._before_rollback)

    @property
    def is_done(self) -> bool:
        return self._work is not None and self._work.done()

    @property
    def can_go_on(self) -> bool:
        return self.pending is not None and not self.is_waiting_for_a_lock

    @property
    def result(self) -> object:
        """What the work returned, or the exception that ended it."""
        assert self._work is not None
        assert self._work.done()
        return self._work.exception() or self._work.result()

    def perform(self, work: Callable[[], Awaitable[object]], *, freely: bool = False) -> None:
        """Start; `freely` passes every gate."""
        self._is_free = freely
        self.pending = self._permission = None
        self.is_waiting_for_a_lock = False
        self._written = frozenset()
        self._rests.clear()
        self._work = asyncio.create_task(self._hide_cut(work), name=f"actor-{self.name}")
        self._work.add_done_callback(lambda _: self._rests.set())

    def go_on(self) -> None:
        """Do the pending step."""
        assert self._permission is not None
        self.pending = None
        self._rests.clear()
        self._permission.set_result(None)

    def go_on_freely(self) -> None:
        """Do the pending step and whatever follows, past every gate."""
        self._is_free = True
        if self.pending is not None:
            self.go_on()

    def die(self) -> None:
        """Stop at the gate for good; the code that would still run on the way out finds no gate."""
        self._is_free = True
        if self._permission is not None and not self._permission.done():
            self.pending = None
            self._permission.set_exception(CutError())

    async def rests(self, *, within: float) -> bool:
        """Whether it has come to the next gate, or to its end."""
        try:
            await asyncio.wait_for(self._rests.wait(), within)
        except TimeoutError:
            return False
        self.is_waiting_for_a_lock = False
        return True

    async def ends(self, *, within: float = 20.0) -> object:
        """Wait for the end of work that meets no gate; its result or exception."""
        assert self._work is not None
        await asyncio.wait([self._work], timeout=within)
        return self.result

    async def leave(self) -> None:
        """Wait until nothing of its work is left, however it ended; it can begin anew then."""
        if self._work is not None:
            _, late = await asyncio.wait([self._work], timeout=0.1)
            for work in late:  # it waits for a part of itself that has died
                work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        self._work = self._permission = self.pending = None
        self.is_waiting_for_a_lock = False

    async def close(self) -> None:
        self.die()
        await self.leave()
        await self._engine.dispose()

    async def _hide_cut(self, work: Callable[[], Awaitable[object]]) -> object:
        try:
            return await work()
        except CutError as cut:
            return cut

    def _before_statement(self, connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        one_snapshot = connection.get_execution_options().get("isolation_level") == "REPEATABLE READ"
        step = self._schema.step(statement, parameters, sees_one_snapshot=one_snapshot)
        self._stop_at_gate(connection, step)
        self._written |= step.written

    def _before_commit(self, connection: Connection) -> None:
        self._stop_at_gate(connection, Step("COMMIT", written=self._written, ends=True))
        self._written = frozenset()

    def _before_rollback(self, connection: Connection) -> None:
        self._stop_at_gate(connection, Step("ROLLBACK", written=self._written, ends=True))
        self._written = frozenset()

    def _stop_at_gate(self, connection: Connection, step: Step) -> None:
        if connection.invalidated:
            return
        driver: Any = connection.connection.driver_connection
        if driver is None or driver.is_closed():
            return
        self.backend = driver.get_server_pid()
        if self._is_free:
            return
        await_only(self._wait_at_gate(step))

    async def _wait_at_gate(self, step: Step) -> None:
        assert self.pending is None, f"{self.name} does two things at once: {self.pending} and {step}"
        self.pending = step
        self._permission = asyncio.get_running_loop().create_future()
        self._rests.set()
        await self._permission
