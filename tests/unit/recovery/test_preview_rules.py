"""What a dry run foresees: the resolutions as settling would leave them, and what each would move."""

from __future__ import annotations

import pytest

from backstop_recovery.domain.decision import Policy
from backstop_recovery.domain.ledger import Balance
from backstop_recovery.domain.preview import credits_moved, message_of, with_refusals
from backstop_recovery.domain.resolution import Errored, Resolution, outcome_of
from backstop_recovery.domain.task import Billing
from tests.support.resolutions import a_task, completed, ended, errored, still_open

POLICY = Policy()


def _foreseen(resolutions: list[Resolution], **balances: Balance) -> list[str]:
    return [outcome_of(resolution) for resolution in with_refusals(resolutions, balances, POLICY)]


def test_what_the_accounts_can_bear_stays_as_it_is() -> None:
    resolutions: list[Resolution] = [completed(), ended(), still_open(), errored(needs_attention=True)]
    assert with_refusals(resolutions, {"ada": Balance(100, 20)}, POLICY) == resolutions


def test_a_charge_that_does_not_fit_is_our_error() -> None:
    task = a_task(billing=Billing.ON_SUCCESS, credits=10)
    (refused,) = with_refusals([completed(task)], {"ada": Balance(9, 0)}, POLICY)
    assert isinstance(refused, Errored)
    assert (refused.code, refused.own, refused.needs_attention) == ("settlement_refused", True, False)
    assert "does not fit" in refused.message
    assert credits_moved(refused) == 0


def test_the_accounts_are_used_up_one_after_the_other() -> None:
    tasks = [a_task(billing=Billing.ON_SUCCESS, credits=10) for _ in range(3)]
    assert _foreseen([completed(task) for task in tasks], ada=Balance(25, 0)) == ["completed", "completed", "error"]


def test_a_refund_before_it_pays_for_a_charge() -> None:
    refund = ended(a_task(billing=Billing.PREPAID, credits=10))
    charge = completed(a_task(billing=Billing.ON_SUCCESS, credits=10))
    assert _foreseen([refund, charge], ada=Balance(0, 0)) == ["failed", "completed"]
    assert _foreseen([charge, refund], ada=Balance(0, 0)) == ["error", "failed"]


def test_a_user_without_an_account_is_our_error() -> None:
    assert _foreseen([completed()]) == ["error"]


def test_the_last_of_too_many_failures_needs_attention() -> None:
    task = a_task(billing=Billing.ON_SUCCESS, error_count=POLICY.own_failures_until_attention - 1)
    assert _foreseen([completed(task)], ada=Balance(0, 0)) == ["needs_attention"]


@pytest.mark.parametrize(
    ("resolution", "credits"),
    [
        (completed(), 10),
        (completed(a_task(billing=Billing.PREPAID)), 0),
        (ended(), 10),
        (ended(a_task(billing=Billing.ON_SUCCESS)), 0),
        (still_open(), 0),
        (errored(), 0),
    ],
)
def test_only_a_settlement_moves_credits(resolution: Resolution, credits: int) -> None:
    assert credits_moved(resolution) == credits


def test_files_are_counted_and_said_not_to_be_fetched() -> None:
    assert message_of(completed()) == "1 file, not fetched"
    assert message_of(ended()) == "refused"
