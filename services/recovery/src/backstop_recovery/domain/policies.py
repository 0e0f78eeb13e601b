"""Which policy holds for a task: its provider's and kind's own, else the one of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from backstop_recovery.domain.decision import Policy


@dataclass(frozen=True, slots=True)
class Policies:
    """Built once; a provider or kind nobody specified has the default."""

    default: Policy
    special: Mapping[tuple[str, str], Policy] = field(default_factory=dict)

    def for_(self, provider: str, kind: str) -> Policy:
        """The policy of a provider's tasks of a kind."""
        return self.special.get((provider, kind), self.default)
