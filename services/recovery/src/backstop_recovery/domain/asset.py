"""An output in the app's own bucket."""

from __future__ import annotations

from dataclasses import dataclass

from backstop_recovery.domain.verdict import OutputRole


@dataclass(frozen=True, slots=True)
class StoredAsset:
    """One stored output. `key` is below the store's root; `sha256` is lower-case hex."""

    index: int
    role: OutputRole
    key: str
    size_bytes: int
    sha256: str
    content_type: str
