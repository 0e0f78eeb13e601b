"""Taking tasks in, many in one transaction: the statements behind `register_task` and `import_records`.

Locks are taken in the order users, tasks, accounts, each by id, as the settlement takes them: nobody deadlocks. A task
that is known already, or whose id or provider id is taken, changes nothing; only the id that a provider gave after
the registration is added.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import RowMapping

from backstop_admin_api.application.hold_credits import hold_credits
from backstop_admin_api.application.intake_outcomes import AlreadyKnown, Differs, Invalid, Outcome, Registered
from backstop_admin_api.application.records import NewUser, TaskRecord, id_of
from backstop_admin_api.application.references import missing_references
from backstop_admin_api.application.register_user import insert_users, open_accounts
from backstop_common.database import Transaction
from backstop_common.providers.catalogue import Catalogue, UnknownProviderError

_ENCODER = json.JSONEncoder(allow_nan=False)

SKEW = timedelta(minutes=5)
"""How far the app's clock may be ahead of the database's."""

_INSERT = """
    INSERT INTO tasks (id, user_id, kind, provider, provider_task_id, credits, billing, metadata, submitted_at)
    SELECT id, user_id, kind, provider, provider_task_id, credits, billing, CAST(metadata AS jsonb), submitted_at
    FROM unnest(CAST(:ids AS uuid[]), CAST(:users AS text[]), CAST(:kinds AS text[]), CAST(:providers AS text[]),
        CAST(:provider_ids AS text[]), CAST(:credits AS bigint[]), CAST(:billings AS text[]),
        CAST(:metadatas AS text[]), CAST(:submitted AS timestamptz[]))
        AS g (id, user_id, kind, provider, provider_task_id, credits, billing, metadata, submitted_at)
    ON CONFLICT DO NOTHING RETURNING id
"""
_STORED = """
    SELECT g.position, t.id, t.user_id, t.kind, t.provider, t.provider_task_id, t.credits, t.billing, t.submitted_at,
        t.metadata = CAST(g.metadata AS jsonb) AS same_metadata
    FROM unnest(CAST(:positions AS int[]), CAST(:ids AS uuid[]), CAST(:metadatas AS text[]))
        AS g (position, id, metadata)
    JOIN tasks t ON t.id = g.id
"""
_NAME = """
    WITH given AS (
        SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:provider_ids AS text[])) AS g (id, provider_task_id)
    ), named AS (
        SELECT t.id, g.provider_task_id FROM tasks t JOIN given g ON g.id = t.id
        WHERE t.provider_task_id IS NULL AND t.status = 'processing'
            AND NOT EXISTS (
                SELECT 1 FROM tasks o WHERE o.provider = t.provider AND o.provider_task_id = g.provider_task_id
            )
        ORDER BY t.id FOR UPDATE OF t
    ), told AS (
        INSERT INTO task_events (task_id, kind, detail)
        SELECT id, 'submitted', jsonb_build_object('providerTaskId', provider_task_id) FROM named
    )
    UPDATE tasks SET provider_task_id = named.provider_task_id, next_check_at = NULL, updated_at = clock_timestamp(),
        fence = tasks.fence + 1, lease_holder = NULL, lease_expires_at = NULL
    FROM named WHERE tasks.id = named.id RETURNING tasks.id
"""
_TIMELINE = """
    INSERT INTO task_events (task_id, kind, detail)
    SELECT task_id, 'registered', CAST(detail AS jsonb)
    FROM unnest(CAST(:tasks AS uuid[]), CAST(:details AS text[])) AS g (task_id, detail)
"""


def check_provider(task: TaskRecord, catalogue: Catalogue) -> Invalid | None:
    """What is wrong with the provider, or with what asking it needs; None when nothing is.

    A task that has no provider's id is never asked about, and needs no more references.
    """
    try:
        provider = catalogue.get(task.provider)
    except UnknownProviderError as error:
        return Invalid("provider", str(error))
    if task.provider_task_id is None:
        return None
    ways = missing_references(provider, task.metadata)
    if not ways:
        return None
    wanted = ", or ".join(" and ".join(f"metadata.{name}" for name in way) for way in ways)
    return Invalid(f"metadata.{ways[0][0]}", f"{task.provider} cannot be asked by the id alone; send {wanted}")


async def take_in(tx: Transaction, tasks: Sequence[TaskRecord], *, via: str) -> list[Outcome]:
    """One outcome per task, in their order. When one of them is a refusal, the caller undoes the transaction.

    Every task has an id; its provider is checked.
    """
    now: datetime = await tx.value("SELECT clock_timestamp()")
    known_users = await _users(tx, tasks)
    outcomes: dict[int, Outcome] = {}
    for position, task in enumerate(tasks):
        problem = _problem(task, known_users, now)
        if problem is not None:
            outcomes[position] = problem
    open_positions = [position for position in range(len(tasks)) if position not in outcomes]
    if open_positions:
        outcomes |= await _insert(tx, {position: tasks[position] for position in open_positions}, now)
    new = {position: tasks[position] for position, outcome in outcomes.items() if isinstance(outcome, Registered)}
    await open_accounts(tx, [task.user_id for task in new.values()])
    outcomes |= await hold_credits(tx, new)
    await _tell(tx, list(new.values()), via)
    return [outcomes[position] for position in range(len(tasks))]


async def _users(tx: Transaction, tasks: Sequence[TaskRecord]) -> set[str]:
    """Those who are there, after inserting those who came along."""
    brought: dict[str, NewUser] = {}
    for task in tasks:
        if task.user is not None:
            brought.setdefault(task.user_id, task.user)
    await insert_users(tx, brought)
    rows = await tx.rows("SELECT id FROM users WHERE id = ANY(:ids)", ids=sorted({task.user_id for task in tasks}))
    return {row["id"] for row in rows}


def _problem(task: TaskRecord, known_users: set[str], now: datetime) -> Invalid | None:
    if task.user_id not in known_users:
        return Invalid(
            "userId",
            f"there is no user {task.user_id!r}; send user: {{email, name}} too, or PUT /api/users/{{id}} before",
        )
    if task.submitted_at is not None and task.submitted_at > now + SKEW:
        return Invalid("submittedAt", "it is in the future; send the moment of the submission, or leave it out for now")
    return None


async def _insert(tx: Transaction, tasks: Mapping[int, TaskRecord], now: datetime) -> dict[int, Outcome]:
    ordered = sorted(tasks.items(), key=lambda item: (id_of(item[1]), item[0]))
    rows = await tx.rows(
        _INSERT,
        ids=[id_of(task) for _, task in ordered],
        users=[task.user_id for _, task in ordered],
        kinds=[task.kind for _, task in ordered],
        providers=[task.provider for _, task in ordered],
        provider_ids=[task.provider_task_id for _, task in ordered],
        credits=[task.credits for _, task in ordered],
        billings=[task.billing for _, task in ordered],
        metadatas=[_json(task.metadata) for _, task in ordered],
        submitted=[task.submitted_at or now for _, task in ordered],
    )
    new = {row["id"] for row in rows}
    outcomes: dict[int, Outcome] = {}
    for position, task in ordered:
        if id_of(task) in new:
            # The first line of an id is the one that was inserted; a repeat in the same group is compared with it.
            new.discard(id_of(task))
            outcomes[position] = Registered(id_of(task))
    rest = {position: task for position, task in tasks.items() if position not in outcomes}
    return outcomes | await _compare(tx, rest)


async def _compare(tx: Transaction, tasks: Mapping[int, TaskRecord]) -> dict[int, Outcome]:
    if not tasks:
        return {}
    rows = await tx.rows(
        _STORED,
        positions=list(tasks),
        ids=[id_of(task) for task in tasks.values()],
        metadatas=[_json(task.metadata) for task in tasks.values()],
    )
    stored = {row["position"]: row for row in rows}
    named = await _name(
        tx, [task for position, task in tasks.items() if _lacks_only_its_name(task, stored.get(position))]
    )
    return {position: _judge(task, stored.get(position), named) for position, task in tasks.items()}


def _lacks_only_its_name(task: TaskRecord, stored: RowMapping | None) -> bool:
    """Whether the task was registered before its provider had given it an id, and here is the id."""
    if stored is None or stored["provider_task_id"] is not None or task.provider_task_id is None:
        return False
    return _difference(task, stored) == "providerTaskId"


async def _name(tx: Transaction, tasks: Sequence[TaskRecord]) -> set[UUID]:
    """Give open tasks their provider's id, once; those that got it. They are due for a check as new tasks are.

    Whoever had claimed one without an id decides nothing any more: the claim is over, as if another worker had it.
    """
    if not tasks:
        return set()
    rows = await tx.rows(
        _NAME, ids=[id_of(task) for task in tasks], provider_ids=[task.provider_task_id for task in tasks]
    )
    return {row["id"] for row in rows}


def _judge(task: TaskRecord, stored: RowMapping | None, named: set[UUID]) -> Outcome:
    if stored is None:
        return Differs("providerTaskId", f"another task has this id at {task.provider}; one generation is one task")
    if id_of(task) in named:
        return AlreadyKnown(id_of(task))
    field = _difference(task, stored)
    if field is not None:
        return Differs(field, "a task of this id was registered with another value; send the same again, or a new id")
    return AlreadyKnown(id_of(task))


def _difference(task: TaskRecord, stored: RowMapping) -> str | None:
    """The first field that is not as it was registered; the provider's id last, because it may come later."""
    given = {
        "userId": task.user_id == stored["user_id"],
        "kind": task.kind == stored["kind"],
        "provider": task.provider == stored["provider"],
        "credits": task.credits == stored["credits"],
        "billing": task.billing == stored["billing"],
        "submittedAt": task.submitted_at is None or task.submitted_at == stored["submitted_at"],
        "metadata": stored["same_metadata"],
        "providerTaskId": task.provider_task_id == stored["provider_task_id"],
    }
    return next((field for field, is_equal in given.items() if not is_equal), None)


async def _tell(tx: Transaction, tasks: Sequence[TaskRecord], via: str) -> None:
    if tasks:
        details = [{"credits": task.credits, "billing": task.billing, "via": via} for task in tasks]
        await tx.execute(_TIMELINE, tasks=[id_of(task) for task in tasks], details=[_json(d) for d in details])


def _json(value: Mapping[str, object]) -> str:
    return _ENCODER.encode(value)
