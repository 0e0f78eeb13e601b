"""For any group of resolutions and any accounts, the ledger adds up or refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop_recovery.domain.decision import Ending
from backstop_recovery.domain.ledger import Balance, Entry, EntryKind, LedgerError, post, settlement_of
from backstop_recovery.domain.resolution import Resolution
from backstop_recovery.domain.task import Billing, Task
from tests.support.resolutions import a_task, completed, ended, errored, still_open

USERS = ["ada", "grace", "linus"]


@pytest.mark.parametrize(
    ("billing", "on_success", "on_end"),
    [
        (Billing.HOLD, EntryKind.CHARGE, EntryKind.RELEASE),
        (Billing.ON_SUCCESS, EntryKind.CHARGE, None),
        (Billing.PREPAID, None, EntryKind.REFUND),
        (Billing.NONE, None, None),
    ],
)
def test_a_final_task_settles_as_its_billing_says(
    billing: Billing, on_success: EntryKind | None, on_end: EntryKind | None
) -> None:
    task = a_task(billing=billing)
    assert settlement_of(completed(task)) is on_success
    assert {settlement_of(ended(task, ending)) for ending in Ending} == {on_end}


@pytest.mark.parametrize("billing", list(Billing))
def test_an_open_task_moves_no_credits(billing: Billing) -> None:
    task = a_task(billing=billing)
    unfinished: list[Resolution] = [
        still_open(task),
        still_open(task, denied=True),
        errored(task),
        errored(task, needs_attention=True),
    ]
    assert [settlement_of(resolution) for resolution in unfinished] == [None] * 4


@pytest.mark.parametrize("billing", list(Billing))
def test_a_free_task_leaves_no_entry(billing: Billing) -> None:
    task = a_task(billing=billing, credits=0)
    assert post([completed(task), ended(task)], {}) == []


@pytest.mark.parametrize(
    ("resolution", "before", "after"),
    [
        (completed(a_task(credits=30)), Balance(100, 30), Balance(70, 0)),
        (completed(a_task(credits=30)), Balance(30, 30), Balance(0, 0)),
        (completed(a_task(credits=30, billing=Billing.ON_SUCCESS)), Balance(100, 70), Balance(70, 70)),
        (ended(a_task(credits=30)), Balance(100, 30), Balance(100, 0)),
        (ended(a_task(credits=30, billing=Billing.PREPAID)), Balance(0, 0), Balance(30, 0)),
    ],
    ids=["charge held", "charge the last", "charge unheld", "release", "refund"],
)
def test_an_entry_carries_the_balances_after_it(resolution: Resolution, before: Balance, after: Balance) -> None:
    (entry,) = post([resolution], {"ada": before})
    assert Balance(entry.balance_after, entry.frozen_after) == after
    assert (entry.balance_change, entry.frozen_change) == (
        after.balance - before.balance,
        after.frozen - before.frozen,
    )


@pytest.mark.parametrize(
    ("resolution", "before"),
    [
        (completed(a_task(credits=30)), Balance(100, 29)),
        (completed(a_task(credits=30, billing=Billing.ON_SUCCESS)), Balance(29, 0)),
        (completed(a_task(credits=30, billing=Billing.ON_SUCCESS)), Balance(100, 71)),
        (ended(a_task(credits=30)), Balance(100, 29)),
    ],
    ids=["held less than the charge", "too poor", "the rest is frozen for others", "held less than the release"],
)
def test_what_an_account_cannot_bear_is_refused_and_names_the_task(resolution: Resolution, before: Balance) -> None:
    with pytest.raises(LedgerError) as caught:
        post([resolution], {"ada": before})
    assert caught.value.task_id == resolution.task.id


def test_a_user_without_an_account_is_refused() -> None:
    with pytest.raises(LedgerError, match="'ada' has no credit account"):
        post([completed()], {"grace": Balance(100, 100)})


_tasks = st.builds(
    a_task,
    user_id=st.sampled_from(USERS),
    credits=st.integers(min_value=0, max_value=40),
    billing=st.sampled_from(list(Billing)),
)
_resolutions = st.lists(
    st.one_of(_tasks.map(completed), st.builds(ended, _tasks, st.sampled_from(list(Ending))), _tasks.map(still_open)),
    max_size=12,
)
_accounts = st.dictionaries(
    st.sampled_from(USERS),
    st.integers(0, 200).flatmap(lambda balance: st.builds(Balance, st.just(balance), st.integers(0, balance))),
)


def _fold(entries: Sequence[Entry], before: Mapping[str, Balance]) -> list[Balance]:
    current, seen = dict(before), []
    for entry in entries:
        account = current[entry.user_id]
        current[entry.user_id] = Balance(account.balance + entry.balance_change, account.frozen + entry.frozen_change)
        seen.append(current[entry.user_id])
    return seen


@given(_resolutions, _accounts)
def test_balances_are_the_fold_of_the_entries_and_always_possible_or_the_group_is_refused(
    resolutions: list[Resolution], accounts: dict[str, Balance]
) -> None:
    untouched = dict(accounts)
    try:
        entries = post(resolutions, accounts)
    except LedgerError:
        return
    finally:
        assert accounts == untouched
    after = _fold(entries, accounts)
    assert after == [Balance(entry.balance_after, entry.frozen_after) for entry in entries]
    assert all(0 <= account.frozen <= account.balance for account in after)


@given(_resolutions)
def test_a_group_whose_accounts_can_bear_it_has_one_entry_per_settlement_in_order(
    resolutions: list[Resolution],
) -> None:
    rich = {user: Balance(10_000, 1_000) for user in USERS}
    entries = post(resolutions, rich)
    due = [(r.task.id, settlement_of(r), r.task.credits) for r in resolutions if settlement_of(r) is not None]
    assert [(entry.task_id, entry.kind, entry.amount) for entry in entries] == due


@given(_tasks)
def test_a_release_undoes_the_hold_and_a_refund_the_payment(task: Task) -> None:
    before = Balance(100, 50)
    for entry in post([ended(task)], dict.fromkeys(USERS, before)):
        assert entry.amount > 0
        assert (entry.balance_change, entry.frozen_change) in {(0, -entry.amount), (entry.amount, 0)}
