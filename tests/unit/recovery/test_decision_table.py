"""docs/decision-table.md is true: each of its rows, at the edges of its bands, under each policy, with each billing."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from backstop_common.errors import PermanentError, TransientError
from backstop_recovery.application.errors import OutputGoneError
from backstop_recovery.application.ports import Reference
from backstop_recovery.application.resolve_task import ResolveTask
from backstop_recovery.domain.decision import Policy
from backstop_recovery.domain.ledger import settlement_of
from backstop_recovery.domain.policies import Policies
from backstop_recovery.domain.resolution import Completed, Ended, Errored, Resolution, StillOpen
from backstop_recovery.domain.task import Billing, Denial, Task
from backstop_recovery.domain.verdict import (
    Cancelled,
    Expired,
    Failed,
    NotFound,
    Output,
    OutputRole,
    StillRunning,
    Succeeded,
    Unknown,
    UnknownReason,
    Verdict,
)
from tests.support.recovery import DictAssets, ScriptedProviders
from tests.support.resolutions import NOW, a_task
from tests.support.source_tree import ROOT

PAGE = (ROOT / "docs/decision-table.md").read_text()
AGES = ("below grace", "grace to give-up", "from give-up")
COUNTS = ("few", "last")
FILE = Succeeded((Output(0, OutputRole.PRIMARY, url="https://files.example/0.mp4"),))
MISTAKE = "a mistake of ours"
ANSWERS: dict[str, list[Verdict]] = {
    "queued": [StillRunning(queued=True, state="IN_QUEUE")],
    "processing": [StillRunning(queued=False, state="RUNNING")],
    "failed": [Failed("NSFW", "the provider's")],
    "cancelled": [Cancelled("by the user")],
    "expired": [Expired("data removed")],
    "not_found": [NotFound("who?")],
    "unknown": [Unknown(reason, "no idea") for reason in UnknownReason],
    "succeeded, all files copied": [FILE],
    "succeeded, no file named": [
        Succeeded(()),
        Succeeded((Output(0, OutputRole.THUMBNAIL, url="https://f.example/0"),)),
    ],
    "succeeded, a file is gone": [FILE],
    "succeeded, a copy failed": [FILE],
    MISTAKE: [FILE],
}
COPIES: dict[str, TransientError | PermanentError] = {
    "succeeded, a file is gone": OutputGoneError("404"),
    "succeeded, a copy failed": TransientError("the store is away"),
}
POLICIES = {
    "default": Policy(),
    "refresh: never": Policy(fresh_addresses=False),
    "of a provider": Policy(
        not_found_grace_seconds=60,
        give_up_after_seconds=7200,
        not_found_confirmations=2,
        own_failures_until_attention=3,
        shortest_recheck_seconds=60,
        longest_recheck_seconds=120,
    ),
    "at the first word": Policy(
        not_found_grace_seconds=0,
        give_up_after_seconds=3600,
        not_found_confirmations=1,
        own_failures_until_attention=1,
    ),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table, as it is written."""

    answer: str
    age: str
    denials: str
    failures: str
    becomes: str
    code: str
    settlements: tuple[str, ...]

    @property
    def cells(self) -> Iterator[tuple[str, str, str, str]]:
        """The cases it stands for."""
        yield from itertools.product(
            [self.answer], _bands(self.age, AGES), _bands(self.denials, COUNTS), _bands(self.failures, COUNTS)
        )


def _bands(written: str, known: tuple[str, ...]) -> tuple[str, ...]:
    assert written == "any" or written in known
    return known if written == "any" else (written,)


def _table(first_column: str) -> list[list[str]]:
    lines = PAGE.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first_column} |"))
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines[start + 2 :])
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def _row(cells: list[str]) -> Row:
    answer, age, denials, failures, becomes, code, *settlements = cells
    return Row(answer, age, denials, failures, becomes, code, tuple(settlements))


ROWS = [_row(cells) for cells in _table("the provider says")]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Our own mistakes are logged with their tracebacks, and there are thousands here."""
    with capture_logs():
        yield


class OwnMistake(ScriptedProviders):
    async def check(self, reference: Reference) -> Verdict:
        raise ZeroDivisionError(reference.id)


async def _resolve(answer: str, verdict: Verdict, task: Task, policy: Policy) -> Resolution:
    providers = OwnMistake() if answer == MISTAKE else ScriptedProviders({"p-1": verdict})
    assets = DictAssets({"p-1": COPIES[answer]} if answer in COPIES else {})
    return await ResolveTask(providers, assets, Policies(policy), lambda: NOW, lambda: 0.5)(task)


def _becomes(resolution: Resolution) -> str:  # noqa: PLR0911 - one word per end
    match resolution:
        case Completed():
            return "completed"
        case Ended(ending=ending):
            return ending.value
        case Errored(needs_attention=True):
            return "needs_attention"
        case Errored(own=True):
            return "open: our failure"
        case Errored(denied=Denial.OUTPUT):
            return "open: file denied"
        case Errored(denied=None):
            return "open: provider's trouble"
        case StillOpen(denied=Denial.ID):
            return "open: id denied"
        case StillOpen(denied=None):
            return "open: wait"
        case _:
            raise AssertionError(f"the table has no word for {resolution}")


def _code(resolution: Resolution, verdict: Verdict) -> str:
    code = resolution.code if isinstance(resolution, Ended | Errored) else None
    if isinstance(verdict, Unknown) and code == verdict.reason.value:
        return "the reason"
    return code or "–"


def _settlement(resolution: Resolution) -> str:
    kind = settlement_of(resolution)
    return "–" if kind is None else kind.value


def _ages(band: str, policy: Policy) -> tuple[float, ...]:
    grace, give_up = policy.not_found_grace_seconds, policy.give_up_after_seconds
    edges = {AGES[0]: (0.0, grace - 0.001), AGES[1]: (grace, give_up - 0.001), AGES[2]: (give_up, 10 * give_up)}
    # Without a grace no task is below it.
    return () if band == AGES[0] and grace == 0 else edges[band]


def _counts(band: str, needed: int) -> tuple[int, ...]:
    few = tuple(sorted({0, needed - 2} & set(range(needed - 1))))
    return few if band == "few" else (needed - 1, needed + 10)


def _tasks(row: Row, policy: Policy, billing: Billing) -> Iterator[Task]:
    needed = policy.gone_confirmations if row.answer in COPIES else policy.not_found_confirmations
    for _, age_band, denial_band, failure_band in row.cells:
        for age, denials, failures in itertools.product(
            _ages(age_band, policy),
            _counts(denial_band, needed),
            _counts(failure_band, policy.own_failures_until_attention),
        ):
            yield a_task(
                age_seconds=age,
                not_found_count=denials,
                last_denial=Denial.ID if row.answer == "not_found" else Denial.OUTPUT,
                error_count=failures,
                billing=billing,
                check_count=1,
            )


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.answer}-{row.age}-{row.denials}-{row.failures}")
async def test_a_row_of_the_table_is_what_happens(row: Row, policy: str) -> None:
    for billing, settlement in zip(Billing, row.settlements, strict=True):
        for task in _tasks(row, POLICIES[policy], billing):
            for verdict in ANSWERS[row.answer]:
                resolution = await _resolve(row.answer, verdict, task, POLICIES[policy])
                found = (_becomes(resolution), _code(resolution, verdict), _settlement(resolution))
                assert found == (row.becomes, row.code, settlement), (task, verdict)


def test_every_case_is_in_the_table_once() -> None:
    decided = Counter(cell for row in ROWS for cell in row.cells)
    assert decided == Counter(itertools.product(ANSWERS, AGES, COUNTS, COUNTS))


def test_the_columns_of_the_ledger_are_the_kinds_of_billing() -> None:
    header = next(line for line in PAGE.splitlines() if line.startswith("| the provider says |"))
    assert [cell.strip().replace(" ", "_") for cell in header.strip("|").split("|")[6:]] == list(Billing)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_page_tells_the_policies_it_is_tested_with(policy: str) -> None:
    known = POLICIES[policy]
    (cells,) = [cells for cells in _table("policy") if cells[0] == policy]
    assert cells[1:] == [
        f"{known.not_found_grace_seconds:.0f} s",
        f"{known.give_up_after_seconds:.0f} s",
        f"{known.not_found_confirmations}",
        f"{known.gone_confirmations}",
        f"{known.own_failures_until_attention}",
    ]


def test_the_page_has_no_other_policies() -> None:
    assert [cells[0] for cells in _table("policy")] == list(POLICIES)


@pytest.mark.parametrize("cells", _table("without an id"), ids=lambda cells: cells[0])
async def test_without_an_id_only_the_age_decides(cells: list[str]) -> None:
    threshold = Policy().without_id_fails_after_seconds
    bands = {"below the threshold": (0.0, threshold - 0.001), "from the threshold": (threshold, 10 * threshold)}
    for billing, settlement in zip(Billing, cells[3:], strict=True):
        for age in bands[cells[0]]:
            task = a_task(age_seconds=age, provider_task_id=None, billing=billing)
            resolution = await _resolve("queued", ANSWERS["queued"][0], task, Policy())
            found = (_becomes(resolution), _code(resolution, ANSWERS["queued"][0]), _settlement(resolution))
            assert found == (cells[1], cells[2], settlement)


@given(
    reason=st.sampled_from(UnknownReason),
    age=st.floats(0, 1e8),
    counts=st.tuples(*[st.integers(0, 10_000)] * 3),
    denial=st.sampled_from([None, *Denial]),
    billing=st.sampled_from(Billing),
    policy=st.sampled_from(list(POLICIES.values())),
    wait=st.none() | st.floats(0, 1e6),
)
async def test_our_ignorance_ends_nothing_at_any_age_after_any_history(
    reason: UnknownReason,
    age: float,
    counts: tuple[int, int, int],
    denial: Denial | None,
    billing: Billing,
    policy: Policy,
    wait: float | None,
) -> None:
    checks, errors, denials = counts
    task = a_task(
        age_seconds=age,
        check_count=checks,
        error_count=errors,
        not_found_count=denials,
        last_denial=denial,
        billing=billing,
    )
    resolution = await _resolve("unknown", Unknown(reason, "no idea", wait), task, policy)
    assert _becomes(resolution) == "open: provider's trouble"
    assert settlement_of(resolution) is None
    assert isinstance(resolution, Errored)
    assert resolution.recheck_seconds >= (wait or 0)
