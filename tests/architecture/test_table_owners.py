"""Each table is written by its owners only, as `backstop_common.database.owners` says (and database roles enforce)."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstop_common.database.owners import OWNERS
from backstop_common.database.tables import metadata
from tests.support.source_tree import (
    ALL_IN_ONE,
    COMMON,
    SERVICES,
    source_files,
    strings_of,
    written_tables,
)

WRITTEN_BY_THE_LIBRARY = {
    "ticks.py": {"ticks"},
    "outbox/writing.py": {"outbox"},
    "outbox/relay.py": {"outbox"},
    "database/transactions.py": {"inbox"},
    "messaging/local.py": {"dead_letters"},
}
"""The functions of the library through which several services write the same table."""


def _written(path: Path) -> set[str]:
    return {table for text in strings_of(path) for table in written_tables(text)} & set(metadata.tables)


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("INSERT INTO ticks (id) VALUES (1)", {"ticks"}),
        ("WITH due AS (SELECT id FROM tasks FOR UPDATE SKIP LOCKED) UPDATE tasks SET a = 1", {"tasks"}),
        ("UPDATE tasks t SET a = 1 FROM users", {"tasks"}),
        ("SELECT id FROM tasks FOR UPDATE", set()),
        ("SELECT id FROM tasks t FOR UPDATE OF t", set()),
        ("INSERT INTO inbox VALUES (1) ON CONFLICT (id) DO UPDATE SET a = 1", {"inbox"}),
        ("DELETE FROM outbox WHERE id = 1", {"outbox"}),
        ("WITH a AS (UPDATE credit_accounts SET b = 1 RETURNING b) INSERT INTO credit_transactions SELECT b FROM a",
         {"credit_accounts", "credit_transactions"}),
        ("TRUNCATE audit_log", {"audit_log"}),
    ],
)  # fmt: skip
def test_writes_are_recognised(sql: str, tables: set[str]) -> None:
    assert written_tables(sql) == tables


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_service_writes_only_its_own_tables(service: str) -> None:
    foreign = {
        f"{path.relative_to(SERVICES[service])} writes {table}"
        for path in source_files(SERVICES[service])
        for table in _written(path)
        if service not in OWNERS[table]
    }
    assert not foreign


def test_the_library_writes_only_through_the_listed_functions() -> None:
    root = COMMON / "backstop_common"
    found = {
        str(path.relative_to(root)): written
        for path in source_files(COMMON)
        if "migrations" not in path.parts and (written := _written(path))
    }
    assert found == WRITTEN_BY_THE_LIBRARY


def test_the_command_line_writes_nothing_by_itself() -> None:
    """The demo's past is the one exception: rows of a history that no service lived."""
    writing = {path.relative_to(ALL_IN_ONE) for path in source_files(ALL_IN_ONE) if _written(path)}
    assert writing <= {Path("backstop/demo/seeding.py")}


def test_sql_with_a_table_name_filled_in_does_not_exist() -> None:
    blank = [
        f"{path}: {text.strip()[:80]}"
        for path in source_files(*SERVICES.values(), COMMON)
        for text in strings_of(path)
        if any(text.rstrip().endswith(verb) for verb in ("INSERT INTO", "UPDATE", "DELETE FROM"))
        and not text.rstrip().endswith("FOR UPDATE")
    ]
    assert not blank


def test_every_owner_is_a_service() -> None:
    assert {service for owners in OWNERS.values() for service in owners} == set(SERVICES)


def test_every_written_table_has_a_writer() -> None:
    by_services = {table for folder in SERVICES.values() for path in source_files(folder) for table in _written(path)}
    by_library = {table for tables in WRITTEN_BY_THE_LIBRARY.values() for table in tables}
    assert by_services | by_library <= set(OWNERS)
