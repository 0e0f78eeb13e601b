"""What a dry run tells about a task: what would become of it. Pure.

The resolution comes from the same rules as in any run; here it is held against the account that would have to bear
its entry, for a run would meet that refusal when it settles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from backstop_recovery.domain.decision import Policy, Trouble, needs_attention
from backstop_recovery.domain.ledger import Balance, LedgerError, post, settlement_of
from backstop_recovery.domain.resolution import Completed, Errored, Resolution


def with_refusals(
    resolutions: Iterable[Resolution], balances: Mapping[str, Balance], policy: Policy
) -> list[Resolution]:
    """The resolutions as settling would leave them, one after the other: what an account cannot bear is our error."""
    current = dict(balances)
    left: list[Resolution] = []
    for resolution in resolutions:
        try:
            for entry in post([resolution], current):
                current[entry.user_id] = Balance(entry.balance_after, entry.frozen_after)
        except LedgerError as error:
            left.append(_refused(resolution, error, policy))
        else:
            left.append(resolution)
    return left


def _refused(resolution: Resolution, error: LedgerError, policy: Policy) -> Errored:
    task = resolution.task
    trouble = Trouble(policy.longest_recheck_seconds, "settlement_refused", f"LedgerError: {error}", own=True)
    return Errored(
        task,
        resolution.verdict,
        trouble.recheck_seconds,
        trouble.code,
        trouble.message,
        own=True,
        needs_attention=needs_attention(task, trouble, policy),
    )


def credits_moved(resolution: Resolution) -> int:
    """The credits that its entry would charge, release or refund; 0 without one."""
    return resolution.task.credits if settlement_of(resolution) else 0


def message_of(resolution: Resolution) -> str:
    """The sentence for the report. Nothing is known about the files of a success but how many there are."""
    if isinstance(resolution, Completed):
        count = len(resolution.assets)
        return f"{count} {'file' if count == 1 else 'files'}, not fetched"
    return resolution.message
