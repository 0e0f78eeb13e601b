"""Why a task was stuck, told by what its first check found, and whether its provider told us of its end. Pure."""

from __future__ import annotations

from enum import StrEnum

from backstop_recovery.domain.resolution import Completed, Ended, Errored, Resolution


class StuckCause(StrEnum):
    """The words of the column `tasks.stuck_cause`."""

    WEBHOOK_LOST = "webhook_lost"
    PROVIDER_SLOW = "provider_slow"
    PROVIDER_TROUBLE = "provider_trouble"
    PROVIDER_DENIES = "provider_denies"
    NEVER_SUBMITTED = "never_submitted"
    OWN_TROUBLE = "own_trouble"


_BY_VERDICT = {
    "succeeded": StuckCause.WEBHOOK_LOST,
    "failed": StuckCause.WEBHOOK_LOST,
    "cancelled": StuckCause.WEBHOOK_LOST,
    "expired": StuckCause.WEBHOOK_LOST,
    "queued": StuckCause.PROVIDER_SLOW,
    "processing": StuckCause.PROVIDER_SLOW,
    "not_found": StuckCause.PROVIDER_DENIES,
    "unknown": StuckCause.PROVIDER_TROUBLE,
    "not_asked": StuckCause.NEVER_SUBMITTED,
}


_FINISHED = frozenset({"succeeded", "failed", "cancelled", "expired"})


def cause_of(resolution: Resolution) -> StuckCause | None:
    """The cause, at a task's first check only; None when its webhook had come, or a person ended it: it was not stuck.

    A final first answer means that the provider had finished and nobody told us, unless we failed to finish it too:
    then it may be us who dropped it the first time.
    """
    task = resolution.task
    if task.check_count > 0 or task.told:
        return None
    if isinstance(resolution, Errored) and resolution.own:
        return StuckCause.OWN_TROUBLE
    return _BY_VERDICT.get(resolution.verdict)


def told_by(resolution: Resolution) -> str | None:
    """`webhook` or `nobody`, at the end of a generation that the provider finished; None for all else.

    What timed out or was never submitted had no end that a webhook could have told.
    """
    if not isinstance(resolution, Completed | Ended) or resolution.verdict not in _FINISHED:
        return None
    return "webhook" if resolution.task.told else "nobody"
