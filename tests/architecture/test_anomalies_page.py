"""docs/anomalies.md names tests that exist, and every safety device with the tests that notice when it is off."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.source_tree import ROOT

PAGE = ROOT / "docs/anomalies.md"
DEVICES = ROOT / "tests/faults/test_safety_devices.py"
_NAMED = re.compile(r"`(tests/[\w/]+?)(?:\.py(?:::(test_\w+))?)?`")


def _named(text: str) -> list[tuple[str, str]]:
    """Each file or folder of tests on the page, with the test's name where one is given."""
    return sorted(set(_NAMED.findall(text)))


def _functions(path: Path) -> set[str]:
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, functions)}


def _devices() -> dict[str, set[str]]:
    """Name and tests of every device, read from the source: constants and f-strings of constants only."""
    module = ast.parse(DEVICES.read_text())
    constants = {
        node.targets[0].id: node.value.value
        for node in module.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    calls = (node for node in ast.walk(module) if isinstance(node, ast.Call))
    return {
        str(_text(call.args[0], constants)): {_text(test, constants) for test in _elements(call.args[-1])}
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "Device"
    }


def _elements(node: ast.expr) -> list[ast.expr]:
    assert isinstance(node, ast.Tuple)
    return node.elts


def _text(node: ast.expr, constants: Mapping[str, object]) -> str:
    match node:
        case ast.Constant(value=value):
            return str(value)
        case ast.Name(id=name):
            return str(constants[name])
        case ast.FormattedValue(value=value):
            return _text(value, constants)
        case ast.JoinedStr(values=values):
            return "".join(_text(value, constants) for value in values)
        case _:
            raise AssertionError(f"a device is written in a way this test does not read: {ast.dump(node)}")


@pytest.mark.parametrize(("path", "name"), _named(PAGE.read_text()))
def test_every_test_on_the_page_exists(path: str, name: str) -> None:
    file = ROOT / f"{path}.py"
    assert file.exists() or (ROOT / path).is_dir()
    assert not name or name in _functions(file)


def test_every_device_is_on_the_page_with_its_tests() -> None:
    rows = [line.split("|") for line in PAGE.read_text().splitlines() if line.count("|") == 3]
    on_the_page = {row[1].strip(): set(re.findall(r"`(tests/[^`]+)`", row[2])) for row in rows}
    assert {name: on_the_page.get(name) for name in _devices()} == _devices()
