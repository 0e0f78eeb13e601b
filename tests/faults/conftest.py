"""Counts what the fault tests tried, and tells it at the end of the session."""

from __future__ import annotations

import pytest

from tests.support.tally import Tally

_TALLY = pytest.StashKey[Tally]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TALLY] = Tally()


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    """Of the whole session."""
    return request.config.stash[_TALLY]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    told = str(config.stash[_TALLY])
    if told:
        terminalreporter.section("faults tried")
        terminalreporter.line(told)
