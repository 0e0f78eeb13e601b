"""Two actors at once, in every order of their statements on a real PostgreSQL: whatever comes first, the truths hold.

The short version tries the orders in which somebody has to give way at most once; the long one (`make faults`) all of
them, up to those that differ only in steps that may change places; where these are more than `MOST_SCHEDULES`, so many,
and all in which somebody has to give way at most twice. What may race is in `tests/support/scenarios`.
"""

from __future__ import annotations

import pytest

from tests.support.interleaving.experiment import experiment
from tests.support.interleaving.scenario import Scenario
from tests.support.scenarios import SCENARIOS
from tests.support.tally import Tally

MOST_SCHEDULES = 1000


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
async def test_no_order_breaks_a_truth(
    scenario: Scenario, database_url: str, tally: Tally, request: pytest.FixtureRequest
) -> None:
    async with experiment(scenario, database_url) as trial:
        if request.config.getoption("--faults-full"):
            explored = await trial.every_order(most_schedules=MOST_SCHEDULES)
            tally.add("schedules", explored.schedules)
            if explored.is_complete:
                return
        bounded = await trial.every_order(most_preemptions=2 if request.config.getoption("--faults-full") else 1)
    tally.add("schedules", bounded.schedules)
    assert bounded.is_complete


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
async def test_no_crash_breaks_a_truth(
    scenario: Scenario, database_url: str, tally: Tally, request: pytest.FixtureRequest
) -> None:
    full = request.config.getoption("--faults-full")
    async with experiment(scenario, database_url) as trial:
        tally.add("crash points", await trial.every_crash(every=1 if full else 17))
