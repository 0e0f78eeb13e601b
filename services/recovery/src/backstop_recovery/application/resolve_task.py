"""Find out what became of one task, and bring its outputs home."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
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
    copy_trouble,
    decide,
    decide_without_id,
    needs_attention,
)
from backstop_recovery.domain.resolution import Completed, Ended, Errored, Resolution, StillOpen
from backstop_recovery.domain.task import Task
from backstop_recovery.domain.verdict import Output, OutputRole, name_of

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
    policy: Policy
    now: Callable[[], datetime]
    jitter: Callable[[], float] = random.random

    async def __call__(self, task: Task) -> Resolution:
        """Never raises: what providers, file hosts and stores do are resolutions, and so are mistakes of our own."""
        try:
            return await self._resolve(task)
        except Exception as error:  # noqa: BLE001 - counted on the task, so that a person looks when it stays
            _log.exception("resolving_failed")
            trouble = Trouble(
                self.policy.longest_recheck_seconds, "internal_error", f"{type(error).__name__}: {error}", own=True
            )
            return await self._carry_out(task, "unknown", trouble, None)

    async def _resolve(self, task: Task) -> Resolution:
        if task.provider_task_id is None:
            decision: Decision = decide_without_id(task, now=self.now(), policy=self.policy, jitter=self.jitter())
            return await self._carry_out(task, _NEVER_ASKED, decision, None)
        reference = Reference(task.provider, task.provider_task_id, _extra(task))
        verdict = await self.providers.check(reference)
        decision = decide(task, verdict, now=self.now(), policy=self.policy, jitter=self.jitter())
        return await self._carry_out(task, name_of(verdict), decision, reference)

    async def _carry_out(self, task: Task, verdict: str, decision: Decision, reference: Reference | None) -> Resolution:
        match decision:
            case CopyOutputs(outputs=outputs) if reference is not None:
                copied = await self._copy_all(task, reference, outputs)
                if isinstance(copied, tuple):
                    return Completed(task, verdict, copied)
                return await self._carry_out(task, verdict, copied, None)
            case CopyOutputs():
                raise AssertionError("outputs without a provider to name them")
            case End(ending=ending, code=code, message=message):
                return Ended(task, verdict, ending, code, message)
            case Wait(recheck_seconds=seconds, message=message, denied=denied):
                return StillOpen(task, verdict, seconds, message, denied)
            case Trouble(recheck_seconds=seconds, code=code, message=message, own=own, denied=denied):
                attention = needs_attention(task, decision, self.policy)
                return Errored(task, verdict, seconds, code, message, own, attention, denied)

    async def _copy_all(
        self, task: Task, reference: Reference, outputs: tuple[Output, ...]
    ) -> tuple[StoredAsset, ...] | Decision:
        stored: list[StoredAsset] = []
        left_out = "the provider named no output"
        for output in outputs:
            try:
                stored.append(
                    await self.assets.copy(reference=reference, task_id=task.id, fence=task.fence, output=output)
                )
            except (TransientError, PermanentError) as error:
                if output.optional:
                    left_out = f"output {output.index}: {error}"
                    _log.warning("optional_output_left_out", index=output.index, error=str(error))
                    continue
                return copy_trouble(
                    task,
                    gone=isinstance(error, OutputGoneError),
                    message=f"output {output.index}: {error}",
                    retry_after=error.retry_after_seconds if isinstance(error, TransientError) else None,
                    policy=self.policy,
                )
        if not any(asset.role is OutputRole.PRIMARY for asset in stored):
            return copy_trouble(task, gone=False, message=left_out, retry_after=None, policy=self.policy)
        return tuple(stored)


def _extra(task: Task) -> dict[str, str]:
    """What a provider's specification may ask for beyond the id, from the task's metadata (fal: `app`)."""
    return {name: value for name, value in task.metadata.items() if isinstance(value, str)}
