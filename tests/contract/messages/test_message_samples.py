"""Messages that were sent once must be understood for ever.

Each file in `samples` is a body as some version sent it. Never edit one: a new shape gets a new file beside it, and
what is sent today is held against the newest of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ValidationError

from backstop_common.contracts import MESSAGES, Message

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.json"))

each_sample = pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)


def _version(path: Path) -> tuple[str, int]:
    name, version = path.stem.rsplit(".v", 1)
    return name, int(version)


NEWEST = list({_version(path)[0]: path for path in sorted(SAMPLES, key=_version)}.values())

each_newest_sample = pytest.mark.parametrize("path", NEWEST, ids=lambda path: path.stem)


def _type(path: Path) -> type[Message]:
    return MESSAGES[path.stem.rsplit(".v", 1)[0]]


def _body(path: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(path.read_text())
    return body


def _with_unknown_fields(value: Any) -> Any:
    """The same JSON with a field nobody knows in every object."""
    if isinstance(value, dict):
        return {**{key: _with_unknown_fields(inner) for key, inner in value.items()}, "added_in_v2": {"a": [1]}}
    return [_with_unknown_fields(inner) for inner in value] if isinstance(value, list) else value


def _shape(value: Any) -> Any:
    """The names and JSON types, all the way down."""
    if isinstance(value, dict):
        return {key: _shape(inner) for key, inner in value.items()}
    return [_shape(inner) for inner in value] if isinstance(value, list) else type(value).__name__


def test_every_message_has_a_sample_and_every_sample_a_message() -> None:
    assert {path.stem for path in SAMPLES if path.stem.endswith(".v1")} == {f"{name}.v1" for name in MESSAGES}


@each_sample
def test_a_sample_parses(path: Path) -> None:
    message = _type(path).model_validate_json(path.read_bytes())
    assert isinstance(message, BaseModel)


@each_sample
def test_fields_nobody_knows_are_ignored(path: Path) -> None:
    extended = json.dumps(_with_unknown_fields(_body(path)))
    assert _type(path).model_validate_json(extended) == _type(path).model_validate_json(path.read_bytes())


@each_newest_sample
def test_what_is_sent_today_has_the_fields_and_types_of_the_sample(path: Path) -> None:
    sent = json.loads(_type(path).model_validate_json(path.read_bytes()).model_dump_json())
    assert _shape(sent) == _shape(_body(path))


@each_newest_sample
def test_what_is_sent_today_has_the_values_of_the_sample(path: Path) -> None:
    assert json.loads(_type(path).model_validate_json(path.read_bytes()).model_dump_json()) == _body(path)


@each_sample
def test_what_an_older_version_said_is_said_still(path: Path) -> None:
    body = _body(path)
    sent = json.loads(_type(path).model_validate_json(path.read_bytes()).model_dump_json())
    assert {name: sent[name] for name in body} == body


@each_newest_sample
def test_a_sample_tells_every_field(path: Path) -> None:
    assert set(_body(path)) == set(_type(path).model_fields)


@each_sample
def test_a_moment_without_an_offset_is_refused(path: Path) -> None:
    body = _body(path)
    moments = [name for name in body if name.endswith(("_at", "_for"))]
    for name in moments:
        with pytest.raises(ValidationError, match=name):
            _type(path).model_validate_json(json.dumps({**body, name: "2026-11-23T12:00:00"}))


@each_sample
def test_a_required_field_that_is_missing_is_refused(path: Path) -> None:
    body = _body(path)
    required = [name for name, field in _type(path).model_fields.items() if field.is_required()]
    for name in required:
        with pytest.raises(ValidationError, match=name):
            _type(path).model_validate_json(json.dumps({key: body[key] for key in body if key != name}))


@each_sample
def test_a_message_cannot_be_changed(path: Path) -> None:
    message = _type(path).model_validate_json(path.read_bytes())
    name = next(iter(type(message).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(message, name, UUID(int=0))


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_the_wire_name_is_the_one_of_the_class(name: str) -> None:
    assert MESSAGES[name].type == name
