"""Importing a file: every good line once, every broken one named, whatever else is in its batch."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from backstop_admin_api.application.import_records import ImportRecords, ImportReport
from backstop_admin_api.application.records import TaskRecord
from backstop_admin_api.application.register_task import RegisterTask
from backstop_common.database import Transactions
from backstop_common.providers.catalogue import load_catalogue
from tests.support.factories import Factory
from tests.support.intake import balances, count
from tests.support.recovery import broken_truths


def _user(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "type": "user",
        "id": f"u{number}",
        "email": f"u{number}@example.com",
        "name": "U",
        "balance": 1000,
        **changes,
    }


def _task(number: int, user: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "type": "task",
        "id": str(uuid5(NAMESPACE_URL, str(number))),
        "userId": f"u{user}",
        "kind": "video",
        "provider": "replicate",
        "providerTaskId": f"p-{number}",
        "credits": 1,
        "billing": "hold",
        "submittedAt": "2026-11-23T10:00:00Z",
        **changes,
    }


def _lines(*records: Any) -> list[bytes]:
    return [(line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in records]


@pytest.fixture
async def importing(transactions: Transactions) -> AsyncIterator[ImportRecords]:
    """The import; whatever it does, money and labels agree afterwards."""
    yield ImportRecords(transactions, load_catalogue(providers_file=None, environ={}))
    assert await broken_truths(transactions) == {}


def _counts(report: ImportReport) -> tuple[int, int, int, int]:
    return report.users, report.tasks, report.tasks_known, report.failed


def _places(report: ImportReport) -> list[tuple[int, str | None]]:
    return [(error.line, error.field) for error in report.errors]


async def test_thousands_of_lines_with_broken_ones_can_be_imported_twice(
    importing: ImportRecords, transactions: Transactions
) -> None:
    records: list[Any] = [_user(number) for number in range(3)]
    records += [_task(number, number % 3) for number in range(3000)]
    broken = {
        10: b"{",
        500: _task(90_001, credits=5000),
        1200: _task(90_002, kind="audio"),
        1201: _task(90_003, provider="nobody"),
        2500: _task(90_004, user=77),
        2501: b'"text"',
    }
    for place, line in sorted(broken.items()):
        records.insert(place - 1, line)
    # The users have a thousand credits each: the last hold of u0, u1 and u2 is the last that fits.
    records.append(_task(90_005))
    first = await importing(_lines(*records))
    second = await importing(_lines(*records))
    expected = [(10, None), (500, "credits"), (1200, "kind"), (1201, "provider"), (2500, "userId"), (2501, None)]
    assert _places(first) == [*expected, (3010, "credits")]
    assert _places(second) == _places(first)
    assert _counts(first) == (3, 3000, 0, 7)
    assert _counts(second) == (3, 0, 3000, 7)
    assert await balances(transactions, "u0") == (1000, 1000)
    assert await count(transactions, "tasks") == await count(transactions, "task_events") == 3000


async def test_a_dry_run_finds_the_same_and_leaves_nothing(
    importing: ImportRecords, transactions: Transactions
) -> None:
    lines = _lines(_user(0, balance=5), *(_task(number) for number in range(8)), b"{")
    rehearsed = await importing(lines, dry_run=True)
    assert await count(transactions, "users") == 0
    real = await importing(lines)
    assert (_counts(rehearsed), rehearsed.errors) == (_counts(real), real.errors)
    assert _counts(real) == (1, 5, 0, 4)


async def test_holds_fit_in_the_order_of_the_lines(importing: ImportRecords, transactions: Transactions) -> None:
    sizes = [4, 9, 5, 2, 1]
    lines = _lines(_user(0, balance=10), *(_task(number, credits=size) for number, size in enumerate(sizes)))
    report = await importing(lines)
    assert _places(report) == [(3, "credits"), (5, "credits")]
    assert await balances(transactions, "u0") == (10, 10)


async def test_a_line_that_was_imported_with_other_values_is_named(importing: ImportRecords) -> None:
    await importing(_lines(_user(0), _task(1)))
    report = await importing(_lines(_user(0, name="New name"), _task(1, credits=2), _task(2, providerTaskId="p-1")))
    assert _places(report) == [(2, "credits"), (3, "providerTaskId")]
    assert report.users == 1


async def test_a_task_twice_in_a_batch_is_one_task(importing: ImportRecords) -> None:
    report = await importing(_lines(_user(0), _task(1), _task(1), _task(1, kind="image")))
    assert _counts(report) == (1, 1, 1, 1)
    assert _places(report) == [(4, "kind")]


async def test_a_task_that_the_api_knows_is_known_to_the_import(
    importing: ImportRecords, transactions: Transactions
) -> None:
    await importing(_lines(_user(0)))
    body = {name: value for name, value in _task(1).items() if name != "type"}
    await RegisterTask(transactions, importing.catalogue)(TaskRecord.model_validate(body))
    assert _counts(await importing(_lines(_task(1)))) == (0, 0, 1, 0)


async def test_an_opening_balance_is_posted_once_and_stays(
    importing: ImportRecords, transactions: Transactions
) -> None:
    await importing(_lines(_user(0, balance=10), _task(1)))
    report = await importing(_lines(_user(0, balance=20, name="Changed")))
    assert _places(report) == [(1, "balance")]
    assert await balances(transactions, "u0") == (10, 1)
    async with transactions.read() as reading:
        assert await reading.value("SELECT name FROM users") == "U"


async def test_an_opening_balance_does_not_come_on_top_of_an_account_in_use(
    importing: ImportRecords, transactions: Transactions
) -> None:
    await Factory(transactions).user("u0", balance=100)
    assert _places(await importing(_lines(_user(0, balance=100)))) == [(1, "balance")]
    report = await importing(_lines({"type": "user", "id": "u0", "name": "Changed"}))
    assert _counts(report) == (1, 0, 0, 0)
    assert await balances(transactions, "u0") == (100, 0)


async def test_the_same_user_twice_in_a_file_is_changed_twice(
    importing: ImportRecords, transactions: Transactions
) -> None:
    report = await importing(_lines(_user(0, name="First"), _user(0, name="Last")))
    assert _counts(report) == (2, 0, 0, 0)
    async with transactions.read() as reading:
        assert await reading.value("SELECT name FROM users") == "Last"


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b"\xff\xfe", None),
        (b"[" * 50_000, None),
        (b'{"a": "' + b"x" * 70_000 + b'"}', None),
        ({"type": "asset"}, "type"),
        ({"id": "u1"}, "type"),
        ({"type": ["user"], "id": "u1"}, "type"),
        ({"type": "user"}, "id"),
        ({"type": "user", "id": "u1", "balance": -1}, "balance"),
        ({"type": "user", "id": "u1", "frozen": 1}, "frozen"),
        ({name: value for name, value in _task(1).items() if name != "id"}, "id"),
        (_task(1, user=0, metadata={"a": "\x00"}), "metadata"),
        (_task(1, user=0, submittedAt="2099-01-01T00:00:00Z"), "submittedAt"),
        (_task(1, provider="fal"), "metadata.app"),
        ({**_task(1), "user": {"email": "nobody"}}, "user.email"),
    ],
)
async def test_a_line_that_cannot_be_taken_names_its_field(
    importing: ImportRecords, transactions: Transactions, line: Any, field: str | None
) -> None:
    report = await importing(_lines(_user(0), line, b"", _task(2)))
    assert _places(report) == [(2, field)]
    assert _counts(report) == (1, 1, 0, 1)
    assert await count(transactions, "tasks") == 1


async def test_what_the_database_refuses_is_one_line(importing: ImportRecords, transactions: Transactions) -> None:
    async with transactions.begin() as tx:
        await tx.execute("ALTER TABLE tasks ADD CONSTRAINT no_seven CHECK (provider_task_id <> 'p-7')")
    report = await importing(_lines(_user(0), *(_task(number) for number in range(20))))
    assert _counts(report) == (1, 19, 0, 1)
    assert _places(report) == [(9, None)]
    assert "no_seven" in report.errors[0].message


async def test_progress_tells_every_byte(importing: ImportRecords) -> None:
    lines = _lines(_user(0), b"", *(_task(number) for number in range(2100)), b"{")
    told: list[int] = []
    await importing(lines, on_progress=told.append)
    assert sum(told) == sum(len(line) for line in lines)
    assert len(told) >= 3
