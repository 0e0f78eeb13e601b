"""Take a task in: from here on, recovery sees to its end."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from uuid import uuid4

import structlog
from sqlalchemy.exc import IntegrityError

from backstop_admin_api.application.intake import check_provider, take_in
from backstop_admin_api.application.intake_outcomes import Outcome, Refusal, Registered
from backstop_admin_api.application.records import TaskRecord
from backstop_common.database import Transactions
from backstop_common.database.refusals import broken_constraint
from backstop_common.providers.catalogue import Catalogue

_log = structlog.get_logger(__name__)


class _UndoneError(Exception):
    """Nothing of the transaction may stay."""


@dataclass(frozen=True, slots=True)
class RegisterTask:
    """Register one task, idempotent by its id.

    1. The provider must be in the catalogue, and the record must hold what asking it needs.
    2. In one transaction (locks: user, task, account): insert the task, or compare it with the one that is there;
       freeze the credits of a `hold`; write the ledger and the timeline.
    3. A refusal undoes all of it, also the user that came along.

    When to look at the task first is recovery's own business: `next_check_at` stays empty.

    Raises:
        TransientError: the database is away.
    """

    transactions: Transactions
    catalogue: Catalogue

    async def __call__(self, task: TaskRecord) -> Outcome:
        """What became of it; only `Registered` changed anything."""
        problem = check_provider(task, self.catalogue)
        if problem is not None:
            return problem
        given = task if task.id is not None else task.model_copy(update={"id": uuid4()})
        try:
            outcome = await self._take_in(given)
        except IntegrityError as error:
            if broken_constraint(error) != "uq_tasks_provider_task_id":
                raise
            # Another task took this provider's id between our look and our write: the second look sees it.
            outcome = await self._take_in(given)
        if isinstance(outcome, Registered):
            _log.info("task_registered", task_id=str(outcome.id), provider=task.provider, billing=task.billing)
        return outcome

    async def _take_in(self, task: TaskRecord) -> Outcome:
        with suppress(_UndoneError):
            async with self.transactions.begin() as tx:
                (outcome,) = await take_in(tx, [task], via="api")
                if isinstance(outcome, Refusal):
                    raise _UndoneError
        return outcome
