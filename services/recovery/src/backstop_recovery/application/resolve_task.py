"""Find out what became of one task, and bring its outputs home."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from backstop_common.errors import PermanentError, TransientError
from backstop_recovery.application.errors import OutputGoneError
from backstop_recovery.application.ports import AssetStore, Providers, Reference
from backstop_recovery.domain.asset import StoredAsset
from backstop_recovery.domain.decision import (
    CopyOutputs,
    Decision,
    End,
    Policy,
    Trouble,
    Wait,
    copy_failed,
    decide,
    decide_without_id,
    needs_attention,
    output_gone,
)
from backstop_recovery.domain.policies import Policies
from backstop_recovery.domain.resolution import Completed, Ended, Errored, Resolution, StillOpen
from backstop_recovery.domain.task import Task
from backstop_recovery.domain.verdict import Output, OutputRole, Succeeded, name_of

_log = structlog.get_logger(__name__)

_NEVER_ASKED = "not_asked"


@dataclass(frozen=True, slots=True)
class ResolveTask:
    """Bring one claimed task to a resolution; settling it is somebody else's transaction.

    The provider is asked first and its answer decides everything else. No transaction is open while another system
    is called.

    1. Without a provider id nobody can be asked: wait, or fail after a threshold.
    2. Ask the provider; `decide` what its verdict means.
    3. On success copy every output to the store. An optional output that cannot be copied is left out; a required
       one makes the whole task wait for a later try, and so does having nothing at all that the user paid for.
    """

    providers: Providers
    assets: AssetStore
    policies: Policies
    now: Callable[[], datetime]
    jitter: Callable[[], float] = random.random

    async def __call__(self, task: Task) -> Resolution:
        """Never raises: what providers, file hosts and stores do are resolutions, and so are mistakes of our own."""
        policy = self.policies.for_(task.provider, task.kind)
        try:
            return await self._resolve(task, policy)
        except Exception as error:  # noqa: BLE001 - counted on the task, so that a person looks when it stays
            _log.exception("resolving_failed")
            trouble = Trouble(
                policy.longest_recheck_seconds, "internal_error", f"{type(error).__name__}: {error}", own=True
            )
            return _resolution(task, "unknown", trouble, policy)

    async def _resolve(self, task: Task, policy: Policy) -> Resolution:
        begun_at = self.now()
        if task.provider_task_id is None:
            decision = decide_without_id(task, now=self._now(task, begun_at), policy=policy, jitter=self.jitter())
            return _resolution(task, _NEVER_ASKED, decision, policy)
        reference = reference_of(task, task.provider_task_id)
        verdict = await self.providers.check(reference)
        decision = decide(task, verdict, now=self._now(task, begun_at), policy=policy, jitter=self.jitter())
        if not isinstance(verdict, Succeeded):
            return _resolution(task, name_of(verdict), decision, policy)
        if isinstance(decision, CopyOutputs):
            return await self._copied(task, reference, verdict, policy, begun_at)
        return _with_facts(_resolution(task, name_of(verdict), decision, policy), verdict, ())

    async def _copied(
        self, task: Task, reference: Reference, verdict: Succeeded, policy: Policy, begun_at: datetime
    ) -> Resolution:
        copied = await copy_outputs(self.assets, reference, task, verdict.outputs)
        if copied.trouble is None:
            done = Completed(task, name_of(verdict), copied.assets)
            return _with_facts(done, verdict, copied.left_out)
        now, until = self._now(task, begun_at), verdict.available_until
        decision: Decision
        if copied.is_gone:
            decision = output_gone(task, message=copied.message, now=now, policy=policy, available_until=until)
        else:
            wait = copied.retry_after_seconds
            decision = copy_failed(
                task, message=copied.message, retry_after=wait, now=now, policy=policy, available_until=until
            )
        return _with_facts(_resolution(task, name_of(verdict), decision, policy), verdict, copied.left_out)

    def _now(self, task: Task, begun_at: datetime) -> datetime:
        """By the database's clock where there is a claim: what an age decides may not depend on one worker's clock."""
        now = self.now()
        return now if task.claimed_at is None else task.claimed_at + (now - begun_at)


@dataclass(frozen=True, slots=True)
class Copied:
    """What became of the outputs: all there (`trouble` is None), or why not. `left_out` are optional ones."""

    assets: tuple[StoredAsset, ...]
    left_out: tuple[str, ...] = ()
    trouble: TransientError | PermanentError | None = None
    message: str = ""

    @property
    def is_gone(self) -> bool:
        """Whether the file host no longer has what is missing."""
        return isinstance(self.trouble, OutputGoneError)

    @property
    def retry_after_seconds(self) -> float | None:
        """The other side's own wish about when to try again."""
        return self.trouble.retry_after_seconds if isinstance(self.trouble, TransientError) else None


async def copy_outputs(assets: AssetStore, reference: Reference, task: Task, outputs: tuple[Output, ...]) -> Copied:
    """Copy every output into the store; all that are required, and at least one that the user paid for, or trouble."""
    stored: list[StoredAsset] = []
    left_out: list[str] = []
    last: TransientError | PermanentError = PermanentError("the provider named no output that the user paid for")
    for output in outputs:
        try:
            stored.append(await assets.copy(reference=reference, task_id=task.id, fence=task.fence, output=output))
        except (TransientError, PermanentError) as error:
            message = f"output {output.index}: {error}"
            if not output.optional:
                return Copied((), tuple(left_out), error, message)
            left_out.append(message)
            last = error if output.role is OutputRole.PRIMARY else last
            _log.warning("optional_output_left_out", index=output.index, error=str(error))
    if not any(asset.role is OutputRole.PRIMARY for asset in stored):
        return Copied((), tuple(left_out), last, left_out[-1] if left_out else str(last))
    return Copied(tuple(stored), tuple(left_out))


def reference_of(task: Task, provider_task_id: str) -> Reference:
    """How the provider knows the task; what its specification asks for beyond the id is in the metadata."""
    extra = {name: value for name, value in task.metadata.items() if isinstance(value, str)}
    return Reference(task.provider, provider_task_id, extra)


def _resolution(task: Task, verdict: str, decision: Decision, policy: Policy) -> Ended | StillOpen | Errored:
    match decision:
        case CopyOutputs():
            raise AssertionError("outputs are copied before there is a resolution")
        case End(ending=ending, code=code, message=message, look_again_seconds=again):
            return Ended(task, verdict, ending, code, message, again)
        case Wait(recheck_seconds=seconds, message=message, denied=denied):
            return StillOpen(task, verdict, seconds, message, denied)
        case Trouble(recheck_seconds=seconds, code=code, message=message, own=own, denied=denied):
            attention = needs_attention(task, decision, policy)
            return Errored(task, verdict, seconds, code, message, own, attention, denied)


def _with_facts(resolution: Resolution, verdict: Succeeded, left_out: tuple[str, ...]) -> Resolution:
    """With what a success told beside its outputs: what is missing, and until when the outputs are there."""
    warnings = (*verdict.warnings, *left_out)
    match resolution:
        case Errored():
            return replace(resolution, warnings=warnings, available_until=verdict.available_until)
        case Completed() | Ended():
            return replace(resolution, warnings=warnings)
        case _:
            return resolution
