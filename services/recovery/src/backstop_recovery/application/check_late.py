"""Ask again about tasks that we gave up: a generation that succeeds late is found, told, and kept if that is wished."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import structlog

from backstop_common.errors import TransientError
from backstop_recovery.application.claim_late import ClaimLate
from backstop_recovery.application.metrics import observe_late
from backstop_recovery.application.ports import AssetStore, Providers, Reference
from backstop_recovery.application.renew_leases import RenewLeases
from backstop_recovery.application.resolve_task import copy_outputs, reference_of
from backstop_recovery.application.settle_late import SettleLate
from backstop_recovery.domain.late import LateFinding, LatePolicy, LateSuccess, LateTask, pause_after
from backstop_recovery.domain.task import Task
from backstop_recovery.domain.verdict import Succeeded, Unknown, Verdict, name_of

_log = structlog.get_logger(__name__)

_LONGEST_TURN_SECONDS = 1.0
_DRAIN_SECONDS = 5.0
_SHARE = 4


@dataclass(frozen=True, slots=True)
class CheckLate:
    """The credits were released and the user was told when we gave up: final stays final, whatever is found. Nobody
    waits for a late look, so `providers` are asked behind the real work.

    1. Claim some timed-out tasks that are due; with the policy `ignore` there are none.
    2. Ask the provider about each, and with `keep` copy what it has. A copy that fails is tried again while the
       window is open; after that the success is told without its files.
    3. Settle each on its own under its fence.
    """

    claim_late: ClaimLate
    settle_late: SettleLate
    providers: Providers
    assets: AssetStore
    renew: RenewLeases
    policy: LatePolicy
    places: int = 16
    _held: dict[asyncio.Task[None], Task] = field(default_factory=dict)

    async def run_once(self) -> bool:
        """Fill the free places and wait a moment, however slow a copy is; True while there is work."""
        if self.policy.action is LateSuccess.IGNORE:
            return False
        claimed = await self._claim()
        for late in claimed:
            looking = asyncio.create_task(self._look(late), name=f"late:{late.task.id}")
            self._held[looking] = late.task
            looking.add_done_callback(self._held.pop)
        if self._held:
            await asyncio.wait(self._held, timeout=_LONGEST_TURN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        return bool(claimed or self._held)

    async def _claim(self) -> list[LateTask]:
        """A few at a time, so that a provider that keeps us waiting has its share of the places and no more."""
        free, share = self.places - len(self._held), max(1, self.places // _SHARE)
        if free <= 0:
            return []
        held = Counter(task.provider for task in self._held.values())
        busy = [provider for provider, count in held.items() if count >= share]
        return await self.claim_late(limit=min(free, share), busy=busy)

    async def renew_leases(self) -> bool:
        """Keep what is held; always False (nothing more to do)."""
        await self.renew(list(self._held.values()))
        return False

    async def drain(self) -> None:
        """Let what is held end for a few seconds; what does not is found again when its lease expires."""
        if not self._held:
            return
        _, slow = await asyncio.wait(self._held, timeout=_DRAIN_SECONDS)
        for looking in slow:
            looking.cancel()
        await asyncio.gather(*slow, return_exceptions=True)

    async def _look(self, late: LateTask) -> None:
        """One task never stops the others: what goes wrong here leaves it to its lease."""
        try:
            finding = await self.find(late)
            if await self.settle_late(finding):
                _log.info("late_success", task_id=str(late.task.id), provider=late.task.provider)
                observe_late(finding)
        except TransientError as error:
            _log.warning("late_task_left_to_its_lease", task_id=str(late.task.id), reason=str(error))
        except Exception:  # noqa: BLE001 - logged; the lease expires and it is found again
            _log.exception("late_check_failed", task_id=str(late.task.id))

    async def find(self, late: LateTask) -> LateFinding:
        """What the provider says now, with its files in the store where they are to be kept."""
        reference = reference_of(late.task, late.provider_task_id)
        verdict = await self.providers.check(reference)
        pause = pause_after(verdict, self.policy, late.since_given_up)
        if not isinstance(verdict, Succeeded) or not verdict.has_primary_output:
            return LateFinding(late.task, name_of(verdict), _message(verdict), pause)
        message = "it succeeded after we gave up; nothing is charged"
        if self.policy.action is LateSuccess.KEEP:
            return await self._kept(late, reference, verdict, message)
        return LateFinding(late.task, name_of(verdict), message, None, succeeded=True)

    async def _kept(self, late: LateTask, reference: Reference, verdict: Succeeded, message: str) -> LateFinding:
        copied = await copy_outputs(self.assets, reference, late.task, verdict.outputs)
        word = name_of(verdict)
        if copied.trouble is None:
            return LateFinding(late.task, word, message, None, succeeded=True, assets=copied.assets)
        pause = self.policy.next_check_seconds(late.since_given_up)
        if pause is not None and copied.retry_after_seconds is not None:
            pause = max(pause, copied.retry_after_seconds)
        return LateFinding(late.task, word, f"{message}; not kept: {copied.message}", pause, succeeded=True)


def _message(verdict: Verdict) -> str:
    if isinstance(verdict, Succeeded):
        return "the provider reports success but names no output"
    if isinstance(verdict, Unknown):
        return f"{verdict.reason.value}: {verdict.message}"
    return f"the provider says {name_of(verdict)!r}"
