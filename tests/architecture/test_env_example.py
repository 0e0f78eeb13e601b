"""`.env.example` lists every variable that a settings class reads, and none that nothing reads."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstop_common.settings import SharedSettings
from tests.support.source_tree import ROOT, source_files

EXAMPLE = ROOT / ".env.example"
_ASSIGNMENT = re.compile(r"^\s*#?\s*(?:export\s+)?([A-Z][A-Z0-9_]+)=", re.MULTILINE)


def _settings_modules() -> list[Path]:
    return [path for path in source_files(ROOT / "services") if path.stem == "settings"]


def _module_name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts[path.parts.index("src") + 1 :])


def _settings_classes() -> Iterator[type[SharedSettings]]:
    yield SharedSettings
    for path in _settings_modules():
        module = importlib.import_module(_module_name(path))
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, SharedSettings) and value is not SharedSettings:
                yield value


def _read_variables() -> set[str]:
    return {field.alias or name for kind in _settings_classes() for name, field in kind.model_fields.items()}


def test_there_are_settings_to_look_at() -> None:
    assert len(_settings_modules()) >= 4


def test_every_variable_a_settings_class_reads_is_in_the_example() -> None:
    assert _read_variables() - set(_ASSIGNMENT.findall(EXAMPLE.read_text())) == set()


def test_the_example_names_no_variable_twice() -> None:
    named = _ASSIGNMENT.findall(EXAMPLE.read_text())
    assert sorted(set(named)) == sorted(named)


@pytest.mark.parametrize("kind", list(_settings_classes()), ids=lambda kind: kind.__name__)
def test_every_setting_has_a_name_of_its_own_in_the_environment(kind: type[SharedSettings]) -> None:
    aliases = [field.alias for field in kind.model_fields.values()]
    assert all(alias and alias.isupper() for alias in aliases)
    assert len(set(aliases)) == len(aliases)


@pytest.mark.parametrize("path", _settings_modules(), ids=_module_name)
def test_settings_have_a_settings_class(path: Path) -> None:
    assert any(kind.__module__ == _module_name(path) for kind in _settings_classes())
