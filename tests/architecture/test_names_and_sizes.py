"""Rules of the house that no linter holds."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.support.source_tree import ROOT, source_files, test_files

FORBIDDEN = {"utils", "util", "helpers", "helper", "misc", "manager", "managers", "base", "common_utils", "tools"}
LONGEST_FILE = 400
GENERATED_OR_A_TABLE = {"migrations", "tables.py"}
"""The schema and its first migration are lists: splitting them by length would only scatter them."""


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_module_is_named_after_nothing() -> None:
    named = [*source_files(), *test_files()]
    assert [_relative(path) for path in named if {path.stem, path.parent.name} & FORBIDDEN] == []


@pytest.mark.parametrize("path", source_files(), ids=_relative)
def test_a_source_file_can_be_read_in_one_sitting(path: Path) -> None:
    if not GENERATED_OR_A_TABLE & set(path.parts):
        assert len(path.read_text().splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("path", [path for path in source_files() if path.stat().st_size], ids=_relative)
def test_a_module_says_what_it_promises(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def _test_functions(path: Path) -> list[str]:
    return [
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]


def test_a_test_has_a_name_of_its_own_in_its_module() -> None:
    twice = {
        f"{_relative(path)}: {name}"
        for path in test_files()
        for name, count in Counter(_test_functions(path)).items()
        if count > 1
    }
    assert not twice


def test_a_test_module_has_a_name_of_its_own() -> None:
    names = Counter(path.name for path in test_files() if path.name.startswith("test_"))
    assert [name for name, count in names.items() if count > 1] == []


LENGTHS_OF_DISTURBANCES = {"tests/faults/test_outages.py:_away"}
"""Functions whose pause is what the test is about, not a wait for something."""


def _is_sleep(node: ast.AST) -> bool:
    """Whether it calls sleep; `asyncio.sleep(0)` only yields and is no waiting."""
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
    return name == "sleep" and not (isinstance(node.args[0], ast.Constant) and node.args[0].value == 0)


def _sleepers(path: Path) -> set[str]:
    """Functions that sleep, of modules and classes; a function inside a function plays somebody slow outside."""
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    module = ast.parse(path.read_text())
    bodies: list[ast.Module | ast.ClassDef] = [module, *(x for x in module.body if isinstance(x, ast.ClassDef))]
    found = set()
    for outer in (node for body in bodies for node in body.body if isinstance(node, functions)):
        inner = {id(part) for node in ast.walk(outer) if isinstance(node, functions) and node is not outer
                 for part in ast.walk(node)}  # fmt: skip
        if any(_is_sleep(node) and id(node) not in inner for node in ast.walk(outer)):
            found.add(f"{_relative(path)}:{outer.name}")
    return found


def test_tests_do_not_sleep() -> None:
    supporting = ROOT / "tests/support"
    sleepers = {name for path in test_files() if supporting not in path.parents for name in _sleepers(path)}
    assert sleepers <= LENGTHS_OF_DISTURBANCES


def test_nothing_prints_but_the_command_line() -> None:
    printing = {
        f"{_relative(path)}:{node.lineno}"
        for path in source_files()
        if "all-in-one" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"print", "breakpoint"}
    }
    assert not printing
