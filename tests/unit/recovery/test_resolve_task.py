"""A task is completed only with a file that the user paid for, and a file is gone only when it stays gone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import pytest

from backstop_common.errors import PermanentError, TransientError
from backstop_recovery.application.errors import OutputGoneError
from backstop_recovery.application.ports import Reference, StoredAsset
from backstop_recovery.application.resolve_task import ResolveTask
from backstop_recovery.domain.decision import Ending, Policy
from backstop_recovery.domain.policies import Policies
from backstop_recovery.domain.resolution import Completed, Ended, Errored, Resolution
from backstop_recovery.domain.task import Denial, Task
from backstop_recovery.domain.verdict import Output, OutputRole, Succeeded
from tests.support.recovery import ScriptedProviders
from tests.support.resolutions import NOW, a_task

AWAY = TransientError("the store is away")
GONE = OutputGoneError("404")


@dataclass
class Store:
    """Keeps every output but those with an error here, by index."""

    failures: dict[int, TransientError | PermanentError] = field(default_factory=dict)

    async def copy(self, *, reference: Reference, task_id: UUID, fence: int, output: Output) -> StoredAsset:
        if output.index in self.failures:
            raise self.failures[output.index]
        key = f"{reference.id}/{task_id}/{fence}-{output.index}.mp4"
        return StoredAsset(output.index, output.role, key, 3, "0" * 64, "video/mp4")


def _output(index: int, role: OutputRole = OutputRole.PRIMARY, *, optional: bool = False) -> Output:
    return Output(index, role, url=f"https://files.example/{index}", optional=optional)


async def _resolve(task: Task, *outputs: Output, **failures: TransientError | PermanentError) -> Resolution:
    """`failures` are named after the outputs: `of_0`, `of_1`."""
    providers = ScriptedProviders({"p-1": Succeeded(outputs)})
    store = Store({int(name.removeprefix("of_")): error for name, error in failures.items()})
    return await ResolveTask(providers, store, Policies(Policy()), lambda: NOW, lambda: 0.5)(task)


async def test_all_outputs_stored_is_completed() -> None:
    resolution = await _resolve(a_task(), _output(0), _output(1, OutputRole.THUMBNAIL))
    assert isinstance(resolution, Completed)
    assert [asset.index for asset in resolution.assets] == [0, 1]


async def test_an_optional_output_that_cannot_be_copied_is_left_out() -> None:
    resolution = await _resolve(a_task(), _output(0), _output(1, OutputRole.THUMBNAIL, optional=True), of_1=AWAY)
    assert isinstance(resolution, Completed)
    assert [asset.index for asset in resolution.assets] == [0]


@pytest.mark.parametrize("others", [(), (_output(1, OutputRole.THUMBNAIL),)], ids=["alone", "beside a thumbnail"])
async def test_a_task_is_never_completed_without_a_file_that_the_user_paid_for(others: tuple[Output, ...]) -> None:
    resolution = await _resolve(a_task(), _output(0, optional=True), *others, of_0=AWAY)
    assert isinstance(resolution, Errored)
    assert resolution.own
    assert "the store is away" in resolution.message


async def test_one_of_several_paid_files_is_enough_when_the_other_is_optional() -> None:
    resolution = await _resolve(a_task(), _output(0), _output(1, optional=True), of_1=AWAY)
    assert isinstance(resolution, Completed)


async def test_a_file_that_is_gone_once_is_a_denial_to_be_confirmed() -> None:
    resolution = await _resolve(a_task(), _output(0), of_0=GONE)
    assert isinstance(resolution, Errored)
    assert (resolution.code, resolution.denied) == ("output_gone", Denial.OUTPUT)


async def test_a_file_that_stays_gone_is_lost() -> None:
    resolution = await _resolve(a_task(not_found_count=2, last_denial=Denial.OUTPUT), _output(0), of_0=GONE)
    assert isinstance(resolution, Ended)
    assert resolution.ending is Ending.ASSET_LOST


async def test_a_paid_file_that_is_optional_and_gone_is_as_lost_as_any() -> None:
    task = a_task(not_found_count=2, last_denial=Denial.OUTPUT)
    resolution = await _resolve(task, _output(0, optional=True), _output(1, OutputRole.THUMBNAIL), of_0=GONE)
    assert isinstance(resolution, Ended)
    assert resolution.ending is Ending.ASSET_LOST


async def test_what_is_missing_is_told() -> None:
    providers = ScriptedProviders(
        {"p-1": Succeeded((_output(0), _output(1, optional=True)), ("partial result: 1 of 2",))}
    )
    resolution = await ResolveTask(providers, Store({1: AWAY}), Policies(Policy()), lambda: NOW, lambda: 0.5)(a_task())
    assert isinstance(resolution, Completed)
    assert resolution.warnings == ("partial result: 1 of 2", "output 1: the store is away")


async def test_the_policy_of_the_tasks_provider_and_kind_decides() -> None:
    policies = Policies(Policy(), {("replicate", "video"): Policy(not_found_confirmations=1)})
    resolve = ResolveTask(ScriptedProviders({"p-1": Succeeded(())}), Store(), policies, lambda: NOW, lambda: 0.5)
    assert isinstance(await resolve(a_task()), Ended)
    assert isinstance(await resolve(a_task(kind="image")), Errored)


async def test_a_copy_that_failed_carries_the_moment_until_which_the_output_is_there() -> None:
    until = NOW + timedelta(minutes=5)
    providers = ScriptedProviders({"p-1": Succeeded((_output(0),), available_until=until)})
    resolution = await ResolveTask(providers, Store({0: AWAY}), Policies(Policy()), lambda: NOW, lambda: 0.5)(
        a_task(error_count=8)
    )
    assert isinstance(resolution, Errored)
    assert (resolution.available_until, resolution.recheck_seconds) == (until, 150.0)


async def test_failures_of_our_own_store_do_not_confirm_that_a_file_is_gone() -> None:
    assert isinstance(await _resolve(a_task(error_count=5), _output(0), of_0=GONE), Errored)


async def test_a_store_that_is_away_is_no_denial() -> None:
    resolution = await _resolve(a_task(not_found_count=5), _output(0), of_0=AWAY)
    assert isinstance(resolution, Errored)
    assert resolution.denied is None
