"""JMESPath with `urls()` and `from_json()`, compiled and checked once.

A wrong expression (syntax, unknown function, wrong number of arguments) raises `ExpressionError` when it is compiled.
An expression never raises when it is evaluated: what JMESPath calls a run-time type error gives null.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jmespath
from jmespath import functions
from jmespath.exceptions import JMESPathError
from jmespath.visitor import TreeInterpreter

_MAX_DEPTH = 12
_MAX_URLS = 200
_PREFIXES = ("http://", "https://", "data:")
_Node = dict[str, Any]


class ExpressionError(ValueError):
    """The expression cannot be compiled, or must not be used where it stands."""


class _Functions(functions.Functions):
    @functions.signature({"types": []})
    def _func_urls(self, value: Any) -> list[str]:
        return list(dict.fromkeys(_addresses(value, _MAX_DEPTH)))[:_MAX_URLS]

    @functions.signature({"types": []})
    def _func_from_json(self, value: Any) -> Any:
        if not isinstance(value, str):
            return None
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return None


def _addresses(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        if value.startswith(_PREFIXES):
            yield value
    elif depth > 0 and isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _addresses(item, depth - 1)


# One for all: it keeps nothing but which of its methods visits which kind of node.
_INTERPRETER = TreeInterpreter(jmespath.Options(custom_functions=_Functions()))


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression; `text` is what was written."""

    text: str
    parsed: Any

    def __call__(self, document: Any) -> Any:
        """The value in the document, or null."""
        try:
            return _INTERPRETER.visit(self.parsed.parsed, document)
        except (JMESPathError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError):
            return None

    def holds(self, document: Any) -> bool:
        """Whether JMESPath counts the value as true (0 is, an empty string or list is not)."""
        value = self(document)
        return not (value is None or value is False or value in ("", [], {}))


def compile_expression(text: str) -> Expression:
    """Compile and check one expression.

    Raises:
        ExpressionError: it is no JMESPath, or calls a function that does not exist or with too few arguments.
    """
    try:
        parsed = jmespath.compile(text)
    except JMESPathError as error:
        reason = str(error).splitlines()[0].partition(": ")[2].rstrip(":")
        raise ExpressionError(f"{text!r} is not a JMESPath expression ({reason}); literals need backticks") from error
    for node in _walk(parsed.parsed):
        if node["type"] == "function_expression":
            _check_call(node)
    return Expression(text, parsed)


def _check_call(node: _Node) -> None:
    name, given = node["value"], len(node["children"])
    table = _Functions.FUNCTION_TABLE
    if name not in table:
        raise ExpressionError(f"there is no function {name}(); use one of {', '.join(sorted(table))}")
    signature = table[name]["signature"]
    variadic = bool(signature) and signature[-1].get("variadic")
    if given != len(signature) and not (variadic and given > len(signature)):
        raise ExpressionError(f"{name}() takes {len(signature)} arguments, not {given}")


def unguarded_inequality(expression: Expression) -> str | None:
    """The first `!=` (or negated `==`) that a missing field would satisfy, or None.

    In JMESPath a missing field is unequal to everything but null, so `code != `200`` is true of an empty answer. A
    guard is an earlier condition joined with `&&` that needs the field: the field itself, `field == <literal>`,
    `field != `null``, `type(field) == '...'` or an ordering comparison.
    """
    return _unguarded(expression.parsed.parsed, frozenset())


def _unguarded(node: _Node, present: frozenset[str]) -> str | None:
    kind, children = node["type"], node["children"]
    if kind == "and_expression":
        left, right = children
        return _unguarded(left, present) or _unguarded(right, present | _presumes(left))
    if kind == "not_expression" and children[0]["type"] == "comparator" and children[0]["value"] == "eq":
        return _unguarded({**children[0], "value": "ne"}, present)
    if kind == "comparator" and node["value"] == "ne" and not _compares_with_null(children):
        for child in children:
            if child["type"] != "literal" and repr(child) not in present:
                return _spell(child)
    for child in children:
        if isinstance(child, dict) and (found := _unguarded(child, present)):
            return found
    return None


def _presumes(node: _Node) -> frozenset[str]:
    """What must exist for the node to be true, as the text of syntax trees."""
    kind, children = node["type"], node["children"]
    if kind == "and_expression":
        return _presumes(children[0]) | _presumes(children[1])
    if kind in {"field", "subexpression", "index_expression"}:
        return frozenset({repr(node)})
    if kind != "comparator":
        return frozenset()
    if (node["value"] == "ne") is not _compares_with_null(children):
        return frozenset()
    named = [child for child in children if child["type"] != "literal"]
    typed = [child["children"][0] for child in named if _is_type_call(child)]
    return frozenset(repr(child) for child in named + typed)


def _compares_with_null(children: list[_Node]) -> bool:
    null: object = "null" if any(_is_type_call(child) for child in children) else None
    return any(child["type"] == "literal" and child["value"] == null for child in children)


def _is_type_call(node: _Node) -> bool:
    return bool(node["type"] == "function_expression" and node["value"] == "type")


def _spell(node: _Node) -> str:
    """The field's name as written, as far as it is made of names."""
    if node["type"] == "field":
        return str(node["value"])
    return ".".join(_spell(child) for child in node["children"] if isinstance(child, dict)) or str(node["type"])


def _walk(node: Any) -> Iterator[_Node]:
    if isinstance(node, dict):
        yield node
        for child in node.get("children", ()):
            yield from _walk(child)
