"""The policies of the provider specifications: what a specification does not say is as the settings have it."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from backstop_common.providers.catalogue import Catalogue
from backstop_common.providers.compiled import CompiledProvider
from backstop_common.providers.specification import Kind
from backstop_recovery.domain.decision import Policy
from backstop_recovery.domain.policies import Policies


def policies_of(catalogue: Catalogue, default: Policy) -> Policies:
    """One policy per provider and kind of the catalogue; all others have the default."""
    kinds: tuple[Kind, ...] = get_args(Kind)
    return Policies(
        default,
        {(name, kind): _policy(catalogue.get(name), kind, default) for name in catalogue.names for kind in kinds},
    )


def _policy(provider: CompiledProvider, kind: Kind, default: Policy) -> Policy:
    poll, denial = provider.poll, provider.not_found
    shortest, longest = poll.min, poll.max
    return replace(
        default,
        give_up_after_seconds=provider.give_up_after_seconds(kind) or default.give_up_after_seconds,
        not_found_grace_seconds=default.not_found_grace_seconds if denial.grace is None else denial.grace,
        not_found_confirmations=denial.confirmations or default.not_found_confirmations,
        # Where only one bound is the provider's own, the other one gives way.
        shortest_recheck_seconds=shortest or min(default.shortest_recheck_seconds, longest or float("inf")),
        longest_recheck_seconds=longest or max(default.longest_recheck_seconds, shortest or 0.0),
        fresh_addresses=provider.download.refresh == "requery",
    )
