"""YAML files that remember their line numbers, for errors that a person can act on.

`read_document` raises `ConfigurationError` for a file that cannot be read or is no YAML; `Document.error` makes the one
sentence of everything that is wrong further in: file, line, field, remedy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from backstop_common.errors import ConfigurationError

_MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML mapping: `label` for messages, `data` as plain values, `root` with the marks."""

    label: str
    data: dict[str, Any]
    root: yaml.Node

    def line_of(self, path: Sequence[str | int]) -> int:
        """The line (from 1) of the deepest part of the path that is in the file."""
        node, line = self.root, self.root.start_mark.line + 1
        for part in path:
            found = _child(node, part)
            if found is None:
                break
            node, line = found
        return line

    def error(self, path: Sequence[str | int], problem: str) -> ConfigurationError:
        """One sentence that names file, line, field and what is wrong with it."""
        field = ".".join(str(part) for part in path)
        return ConfigurationError(f"{self.label} line {self.line_of(path)}: {field}: {problem}")


def read_document(path: Path, *, label: str) -> Document:
    """Read a file.

    Raises:
        ConfigurationError: it cannot be read, is larger than 1 MB, or is not a YAML mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigurationError(f"{label} does not exist; create it or unset PROVIDERS_FILE") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{label} cannot be read ({error}); make it a readable UTF-8 file") from error
    return parse_document(text, label=label)


def parse_document(text: str, *, label: str) -> Document:
    """Parse text; see `read_document`."""
    if len(text) > _MAX_BYTES:
        raise ConfigurationError(f"{label} is larger than 1 MB; split or shorten it")
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        raise ConfigurationError(f"{label}: not a text file ({error.reason}); write it as YAML in UTF-8") from error
    try:
        root = loader.get_single_node()
        if root is None:
            root = yaml.MappingNode("tag:yaml.org,2002:map", [], yaml.Mark(label, 0, 0, 0, "", 0))
        _refuse_duplicates(root, label, set())
        data = loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError(f"{label} line {line}: not valid YAML: {error.problem}; correct it") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{label}: not valid YAML: {' '.join(str(error).split())}; correct it") from error
    finally:
        loader.dispose()
    if not isinstance(data, dict):
        raise ConfigurationError(f"{label} line 1: the file must be a mapping; begin it with providers:")
    return Document(label, data, root)


def _refuse_duplicates(node: yaml.Node, label: str, seen: set[int]) -> None:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<" and key.value in keys:
                line = key.start_mark.line + 1
                raise ConfigurationError(f"{label} line {line}: {key.value} is there twice; keep one of them")
            keys.add(key.value if isinstance(key, yaml.ScalarNode) else "")
            _refuse_duplicates(value, label, seen)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicates(item, label, seen)


def _child(node: yaml.Node, part: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == str(part):
                return value, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        item = node.value[part]
        return item, item.start_mark.line + 1
    return None
