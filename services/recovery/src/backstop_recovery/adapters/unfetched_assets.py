"""The asset store of dry runs: it fetches nothing, keeps nothing, and takes every output for copied.

What a file host would have said (gone, too large, no media) stays unknown to a dry run, and its report says so.
"""

from __future__ import annotations

from uuid import UUID

from backstop_recovery.application.ports import Reference
from backstop_recovery.domain.asset import StoredAsset
from backstop_recovery.domain.verdict import Output


class UnfetchedAssets:
    """An `AssetStore` that is never empty-handed; nobody reads what it says about a file."""

    async def copy(self, *, reference: Reference, task_id: UUID, fence: int, output: Output) -> StoredAsset:  # noqa: ARG002 - the port's signature
        """A file of no bytes."""
        return StoredAsset(output.index, output.role, "", 0, "", output.media_type or "")
