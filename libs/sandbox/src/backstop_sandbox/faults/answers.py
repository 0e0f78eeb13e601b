"""What a provider's API may say in place of its answer, as JSON or nearly so."""

import json
from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from backstop_sandbox.faults.words import Fault

STATE_NAMES = frozenset({"status", "state"})
NO_STATE = "transmogrified"
DEPTH = 100_000
WIDTH = 2_000_000
DIGITS = 5_000


def answer_of(fault: Fault, body: bytes) -> Response | None:
    """The answer of a fault of meaning, or None when it is none. `body` is the honest answer, a JSON object."""
    bodies: dict[Fault, Callable[[], bytes]] = {
        Fault.NULL: lambda: b"null",
        Fault.INVALID_JSON: lambda: body[: len(body) * 2 // 3],
        Fault.WRONG_CHARSET: lambda: body[:-1] + ', "note": "caf\xe9"}'.encode("latin-1"),
        Fault.DEEP_JSON: lambda: body[:-1] + b', "more": ' + b"[" * DEPTH + b"]" * DEPTH + b"}",
        Fault.WIDE_JSON: lambda: body[:-1] + b', "more": [' + b"{}," * WIDTH + b"{}]}",
        Fault.HUGE_NUMBERS: lambda: body[:-1] + b', "more": ' + b"9" * DIGITS + b', "most": 1e999}',
        Fault.UNKNOWN_STATE: lambda: json.dumps(_in_other_words(json.loads(body))).encode(),
    }
    if fault not in bodies:
        return None
    return Response(bodies[fault](), headers={"Content-Type": "application/json; charset=utf-8"})


def _in_other_words(value: Any) -> Any:
    """The same answer with a word for its state that no documentation knows."""
    if not isinstance(value, dict):
        return value
    return {
        name: NO_STATE if name in STATE_NAMES and isinstance(one, str) else _in_other_words(one)
        for name, one in value.items()
    }
