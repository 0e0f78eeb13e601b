"""Two actors at once, in every order of their statements on a real PostgreSQL: whatever comes first, the truths hold.

The short version tries the orders in which somebody has to give way at most once; the long one (`make faults`) all of
them, up to those that differ only in steps that may change places. What may race is in `tests/support/scenarios`.
"""

from __future__ import annotations

import pytest

from tests.support.interleaving.experiment import experiment
from tests.support.interleaving.scenario import Scenario
from tests.support.scenarios import SCENARIOS
from tests.support.tally import Tally


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
async def test_no_order_breaks_a_truth(
    scenario: Scenario, database_url: str, tally: Tally, request: pytest.FixtureRequest
) -> None:
    full = request.config.getoption("--faults-full")
    async with experiment(scenario, database_url) as trial:
        explored = await trial.every_order(most_preemptions=None if full else 1)
    tally.add("schedules", explored.schedules)
    assert explored.is_complete


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
async def test_no_crash_breaks_a_truth(
    scenario: Scenario, database_url: str, tally: Tally, request: pytest.FixtureRequest
) -> None:
    full = request.config.getoption("--faults-full")
    async with experiment(scenario, database_url) as trial:
        tally.add("crash points", await trial.every_crash(every=1 if full else 17))
