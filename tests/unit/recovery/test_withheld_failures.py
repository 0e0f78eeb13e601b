"""Only endings that nobody approved wait for a person; whatever they would have been is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from backstop_recovery.application.settle_in_groups import SettleInGroups
from backstop_recovery.application.settle_tasks import Settled
from backstop_recovery.application.withhold_failures import HeldMeanwhileError, needs_a_person, withheld
from backstop_recovery.domain.blast_radius import BlastRadius
from backstop_recovery.domain.decision import Ending, Policy
from backstop_recovery.domain.ledger import settlement_of
from backstop_recovery.domain.resolution import Resolution, Withheld, counted_as, outcome_of, status_of
from tests.support.resolutions import a_task, completed, ended, errored, still_open

LIMIT = BlastRadius(recheck_seconds=300)


@pytest.mark.parametrize("ending", Ending)
def test_every_ending_is_withheld_as_what_it_would_have_been(ending: Ending) -> None:
    end = ended(ending=ending)
    assert withheld([end], LIMIT) == [Withheld(end.task, end.verdict, ending, end.code, end.message, 300)]


@pytest.mark.parametrize(
    "resolution",
    [completed(), still_open(), errored(), ended(a_task(approved=True))],
    ids=["completed", "still open", "an error of ours", "approved"],
)
def test_nothing_else_is_withheld(resolution: Resolution) -> None:
    assert not needs_a_person(resolution)
    assert withheld([resolution], LIMIT) == [resolution]


def test_a_withheld_task_is_open_and_moves_no_credits() -> None:
    (waiting,) = withheld([ended(a_task(credits=30))], LIMIT)
    assert (status_of(waiting), outcome_of(waiting), counted_as(waiting)) == (
        "processing",
        "withheld",
        "stillProcessing",
    )
    assert settlement_of(waiting) is None


async def test_a_group_whose_run_was_stopped_meanwhile_is_settled_again() -> None:
    tries: list[Sequence[Resolution]] = []

    async def settle(resolutions: Sequence[Resolution]) -> Settled:
        tries.append(resolutions)
        if len(tries) == 1:
            raise HeldMeanwhileError("the run was stopped meanwhile")
        return Settled(tuple(withheld(resolutions, LIMIT)), (), ())

    groups = SettleInGroups(settle, Policy(), group_size=2)
    await asyncio.wait_for(asyncio.gather(groups.settle(ended()), groups.settle(completed())), 10)
    assert [len(group) for group in tries] == [2, 2]
