"""What the use cases need from the outside world. Fakes and real adapters pass the same contract suites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from backstop_recovery.domain.asset import StoredAsset
from backstop_recovery.domain.verdict import Output, Verdict

__all__ = ["AssetStore", "Providers", "Reference", "StoredAsset"]


@dataclass(frozen=True, slots=True)
class Reference:
    """How a provider knows a generation: its id, and what else its specification asks for (fal: `app`)."""

    provider: str
    id: str
    extra: Mapping[str, str]


class Providers(Protocol):
    """All configured providers."""

    async def check(self, reference: Reference) -> Verdict:
        """Ask what became of a generation. Everything that goes wrong on the way is `Unknown`, never raised."""
        ...


class AssetStore(Protocol):
    """The app's bucket, filled from the provider's outputs."""

    async def copy(self, *, reference: Reference, task_id: UUID, fence: int, output: Output) -> StoredAsset:
        """Stream one output into the store under a key made of task, fence and index.

        Raises:
            TransientError: the file host or the store did not answer well; the copy may succeed later.
            OutputGoneError: the file host says it is gone (404, 410, an expired signature).
            OutputRefusedError: the address is not allowed, the bytes are no media, or there are too many of them.
        """
        ...
