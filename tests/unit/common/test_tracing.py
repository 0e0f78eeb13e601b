"""A valid trace goes on, anything else starts a new one, and nothing leaks out of the block."""

from __future__ import annotations

import re

import pytest

from backstop_common.observability.tracing import continued_trace, current_traceparent

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SHAPE = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01")


def test_a_valid_trace_is_continued() -> None:
    with continued_trace(TRACE):
        assert current_traceparent() == TRACE


@pytest.mark.parametrize(
    "malformed",
    [
        None,
        "",
        "nonsense",
        TRACE.upper(),
        TRACE[:-1],
        TRACE + "-more",
        " " + TRACE,
        TRACE + "\n",
        "ff" + TRACE[2:],
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
    ],
)
def test_a_malformed_trace_starts_a_new_one_that_stays_for_the_block(malformed: str | None) -> None:
    with continued_trace(malformed):
        first, second = current_traceparent(), current_traceparent()
    assert first == second != malformed
    assert SHAPE.fullmatch(first)


def test_outside_a_block_every_message_starts_its_own_trace() -> None:
    assert current_traceparent() != current_traceparent()


def test_the_block_gives_back_what_was_before_even_after_an_error() -> None:
    with continued_trace(TRACE):
        with pytest.raises(ValueError, match="inside"), continued_trace(None):
            raise ValueError("inside")
        assert current_traceparent() == TRACE
