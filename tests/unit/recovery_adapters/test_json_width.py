"""What is too wide to be parsed, and that everything narrow enough is not."""

from __future__ import annotations

import base64
import json
import os

import pytest

from backstop_recovery.adapters.json_width import is_sprawling


@pytest.mark.parametrize("value", [b"{}", b"[]", b"1", b"[[]]", b'{"a":1}', b'""'])
def test_millions_of_small_values_are_too_many(value: bytes) -> None:
    assert is_sprawling(b"[" + b",".join([value] * 1_000_000) + b"]")


@pytest.mark.parametrize(
    "document",
    [
        {"status": "succeeded", "output": ["https://h.example/a.png"] * 100},
        {"logs": "step 1, loss 0.5 [ok]\n" * 50_000},
        {"data": base64.b64encode(os.urandom(5_000_000)).decode()},
        {"values": list(range(100_000))},
    ],
)
def test_long_honest_answers_are_taken(document: object) -> None:
    assert not is_sprawling(json.dumps(document).encode())
