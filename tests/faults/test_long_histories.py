"""The state machine of recovery for many more steps than `make test` has time for."""

from __future__ import annotations

import pytest

from tests.support.ledger_machine import run_machine


def test_no_long_history_charges_twice_or_loses_an_event(database_url: str, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--faults-full"):
        pytest.skip("part of the long suite: make faults")
    run_machine(database_url, examples=300, steps=50)
