"""What a group may fail: nothing while a hold is open, and with no hold no more than the limit says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeGuard
from uuid import UUID

from backstop_common.database import Transaction
from backstop_common.errors import TransientError
from backstop_common.ids import hold_id
from backstop_recovery.domain.blast_radius import BlastRadius, Tally
from backstop_recovery.domain.resolution import Ended, Resolution, Withheld


class BlastRadiusExceededError(Exception):
    """With this group a run would fail more than it may without a person; nothing of the group was settled."""

    def __init__(self, run_id: UUID, tally: Tally) -> None:
        super().__init__(f"run {run_id} would have failed {tally.failed} of {tally.checked} checked tasks")
        self.run_id = run_id
        self.tally = tally


class HeldMeanwhileError(TransientError):
    """The run was stopped while this group was settled; the next try finds the hold and withholds."""


async def with_approvals(tx: Transaction, resolutions: Sequence[Resolution]) -> tuple[Sequence[Resolution], bool]:
    """The group with the approvals of this moment, and whether endings without one have to be withheld.

    An approval may be newer than the claim. Tasks belong to no job: an open hold of any job holds them all. What was
    in flight when its run was stopped is withheld whatever became of the hold: its run judges nothing any more.
    """
    undecided = [resolution.task for resolution in resolutions if needs_a_person(resolution)]
    if not undecided:
        return resolutions, False
    row = await tx.row(
        "SELECT EXISTS (SELECT 1 FROM failure_holds WHERE lifted_at IS NULL OR id = ANY(:stops)) AS is_held,"
        " ARRAY(SELECT id FROM tasks WHERE id = ANY(:ids) AND approved_at IS NOT NULL) AS approved",
        ids=[task.id for task in undecided],
        stops=[hold_id(run) for run in {task.run_id for task in undecided} if run is not None],
    )
    if row is None:
        raise AssertionError("a SELECT without FROM has one row")
    approved = set(row["approved"])
    group = [_approved(resolution) if resolution.task.id in approved else resolution for resolution in resolutions]
    return group, bool(row["is_held"])


def withheld(resolutions: Iterable[Resolution], limit: BlastRadius) -> list[Resolution]:
    """The group with every ending that nobody approved turned into waiting for a person."""
    return [
        Withheld(
            resolution.task,
            resolution.verdict,
            resolution.ending,
            resolution.code,
            resolution.message,
            limit.recheck_seconds,
        )
        if needs_a_person(resolution)
        else resolution
        for resolution in resolutions
    ]


async def require_within_limit(
    tx: Transaction, settled: Sequence[Resolution], tallies: Mapping[UUID, Tally], limit: BlastRadius
) -> None:
    """Let a group that is about to commit through, or have it rolled back.

    `tallies` are of the runs that go on, read under the locks on their rows. A run that is over may have been stopped
    after this transaction looked for a hold: then its late endings must not get through.

    Raises:
        BlastRadiusExceededError: a run of the group has to stop.
        HeldMeanwhileError: it was stopped already.
    """
    runs = {resolution.task.run_id for resolution in settled if needs_a_person(resolution)} - {None}
    if runs - tallies.keys() and await tx.value("SELECT 1 FROM failure_holds WHERE lifted_at IS NULL LIMIT 1"):
        raise HeldMeanwhileError("the run was stopped meanwhile: its failures wait for a person")
    for run_id, tally in tallies.items():
        if run_id in runs and limit.is_exceeded_by(tally):
            raise BlastRadiusExceededError(run_id, tally)


def needs_a_person(resolution: Resolution) -> TypeGuard[Ended]:
    """Whether it ends its task without an asset, and nobody has agreed to that yet."""
    return isinstance(resolution, Ended) and not resolution.task.approved


def _approved(resolution: Resolution) -> Resolution:
    return replace(resolution, task=replace(resolution.task, approved=True))
