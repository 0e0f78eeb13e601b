"""One file on its way from host to store: joined into blocks, counted, hashed, and stopped when it must not go on.

All limits live inside the iteration, because an exception raised there makes the store abort its upload cleanly, while
a cancelled upload would dangle. `OutputRefusedError`: too large. `TransientError`: too slow, stalled, or cut short.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from backstop_common.errors import TransientError
from backstop_recovery.application.errors import OutputRefusedError

BLOCK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """`min_rate_bytes` per second holds on average, once `patience_seconds` are over."""

    max_bytes: int
    total_seconds: float
    min_rate_bytes: int = 8192
    patience_seconds: float = 30.0


class MediaStream:
    """See the module. `first` is read once, then `blocks` gives everything, the first block included."""

    def __init__(self, chunks: AsyncIterator[bytes], *, limits: StreamLimits, expected_bytes: int | None) -> None:
        self._chunks = chunks
        self._limits = limits
        self._expected = expected_bytes
        self._started = asyncio.get_running_loop().time()
        self._hash = hashlib.sha256()
        self.size_bytes = 0
        self.first = b""
        self.ended = False

    @property
    def sha256(self) -> str:
        """The digest of what has been read so far, in lower-case hex."""
        return self._hash.hexdigest()

    async def read_first(self) -> bytes:
        """The first block; `ended` tells whether it is all."""
        self.first = await self._block()
        return self.first

    async def blocks(self) -> AsyncIterator[bytes]:
        """The first block and all others."""
        block = self.first
        while block:
            yield block
            block = b"" if self.ended else await self._block()

    async def _block(self) -> bytes:
        parts: list[bytes] = []
        length = 0
        while length < BLOCK_BYTES:
            chunk = await self._chunk()
            if chunk is None:
                self._finish()
                break
            parts.append(chunk)
            length += len(chunk)
        block = b"".join(parts)
        self._hash.update(block)
        return block

    async def _chunk(self) -> bytes | None:
        deadline = self._started + self._limits.total_seconds
        try:
            async with asyncio.timeout_at(deadline):
                chunk = await anext(self._chunks, None)
        except TimeoutError as error:
            raise TransientError(f"the file did not arrive within {self._limits.total_seconds:g} s") from error
        if chunk is not None:
            self._count(len(chunk))
        return chunk

    def _count(self, length: int) -> None:
        self.size_bytes += length
        if self.size_bytes > self._limits.max_bytes:
            raise OutputRefusedError(f"the file is larger than {self._limits.max_bytes} bytes")
        elapsed = asyncio.get_running_loop().time() - self._started
        if elapsed > self._limits.patience_seconds and self.size_bytes < elapsed * self._limits.min_rate_bytes:
            raise TransientError(f"the file arrives more slowly than {self._limits.min_rate_bytes} bytes/s")

    def _finish(self) -> None:
        self.ended = True
        if self._expected is not None and self.size_bytes != self._expected:
            raise TransientError(f"the file ended after {self.size_bytes} of {self._expected} bytes")
