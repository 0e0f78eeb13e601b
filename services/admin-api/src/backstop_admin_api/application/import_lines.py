"""Lines of an import file: each is a record, or an error that names its line and field."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pydantic import ValidationError

from backstop_admin_api.application.records import ImportedTask, ImportedUser

LONGEST_LINE_BYTES = 64 * 1024

_KINDS: dict[str, type[ImportedUser | ImportedTask]] = {"user": ImportedUser, "task": ImportedTask}


@dataclass(frozen=True, slots=True)
class Line:
    """A line that could be read; numbers begin at 1."""

    number: int
    record: ImportedUser | ImportedTask


@dataclass(frozen=True, slots=True)
class LineError:
    """Why a line was not imported. `field` is None when the line as a whole is wrong."""

    line: int
    field: str | None
    message: str


class _UnreadableError(Exception):
    """What is wrong with the line as a whole."""


def parse_line(number: int, text: bytes) -> Line | LineError | None:
    """The record of a line; None for an empty one."""
    try:
        value = _object_of(text)
    except _UnreadableError as error:
        return LineError(number, None, f"the line is {error}")
    if value is None:
        return None
    word = value.pop("type", None)
    kind = _KINDS.get(word) if isinstance(word, str) else None
    if kind is None:
        return LineError(number, "type", f"must be {' or '.join(_KINDS)}")
    try:
        return Line(number, kind.model_validate(value))
    except ValidationError as error:
        return _first(number, error)


def _object_of(text: bytes) -> dict[str, object] | None:
    if len(text) > LONGEST_LINE_BYTES:
        raise _UnreadableError(f"longer than {LONGEST_LINE_BYTES} bytes")
    stripped = text.removeprefix(b"\xef\xbb\xbf").strip()
    if not stripped:
        return None
    try:
        value = json.loads(stripped.decode())
    except json.JSONDecodeError as error:
        raise _UnreadableError(f"not JSON: {error.msg} at column {error.colno}") from error
    except UnicodeDecodeError as error:
        raise _UnreadableError("not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise _UnreadableError("JSON with a number or a depth that cannot be read") from error
    if not isinstance(value, dict):
        raise _UnreadableError("not a JSON object")
    return value


def _first(number: int, error: ValidationError) -> LineError:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or None
    message = first["msg"].removeprefix("Value error, ")
    return LineError(number, field, f"{message[:1].lower()}{message[1:]}")
