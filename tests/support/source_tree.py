"""The repository as the rules see it: source files, their strings, their names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SERVICES = {
    "scheduler": ROOT / "services/scheduler/src",
    "recovery": ROOT / "services/recovery/src",
    "notifier": ROOT / "services/notifier/src",
    "admin-api": ROOT / "services/admin-api/src",
}
ALL_IN_ONE = ROOT / "services/all-in-one/src"
COMMON = ROOT / "libs/common/src"


def source_files(*folders: Path) -> list[Path]:
    """The Python files below these folders; below all of libs and services when none is named."""
    return sorted(
        path
        for folder in folders or (ROOT / "libs", ROOT / "services")
        for path in folder.rglob("*.py")
        if "build" not in path.parts and ".venv" not in path.parts
    )


def test_files() -> list[Path]:
    return sorted(path for path in (ROOT / "tests").rglob("*.py"))


test_files.__test__ = False  # type: ignore[attr-defined]


def strings_of(path: Path) -> Iterator[str]:
    """Every string of a module, adjacent and formatted pieces joined; values of f-strings become a blank."""
    tree = ast.parse(path.read_text())
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in node.values}
            yield "".join(
                part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else " "
                for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value


_WRITES = re.compile(
    r"""\b(?: INSERT \s+ INTO | UPDATE (?! \s+ (?:OF|SET|SKIP|NOWAIT)\b) | DELETE \s+ FROM | TRUNCATE (?:\s+ TABLE)?
        | MERGE \s+ INTO | COPY ) \s+ (?:ONLY \s+)? "? (?:public\.)? ([a-z_]+)""",
    re.VERBOSE,
)


def written_tables(sql: str) -> set[str]:
    """The tables a statement inserts into, changes or deletes from."""
    return set(_WRITES.findall(sql))
