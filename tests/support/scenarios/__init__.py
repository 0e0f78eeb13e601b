"""What two actors of recovery and of the intake may do to each other; each scenario is a sentence."""

from tests.support.interleaving.scenario import Scenario
from tests.support.scenarios.accounts import ACCOUNTS
from tests.support.scenarios.claims import CLAIMS
from tests.support.scenarios.people import PEOPLE
from tests.support.scenarios.runs import RUNS
from tests.support.scenarios.settlements import SETTLEMENTS

SCENARIOS: list[Scenario] = [*SETTLEMENTS.all, *CLAIMS.all, *RUNS.all, *ACCOUNTS.all, *PEOPLE.all]

__all__ = ["SCENARIOS"]
