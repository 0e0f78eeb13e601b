"""The app's bucket behind the port `AssetStore`: outputs streamed from the file host into the store.

Memory stays flat whatever the size and number of files: blocks of 1 MiB, small files in one PUT, large ones as
multipart uploads, and a budget for the bytes in flight. The key carries task and fence, so a late worker writes beside
the winner's file, never over it. The content type comes from the bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import obstore
from obstore.exceptions import BaseError

from backstop_common.errors import TransientError
from backstop_common.providers.catalogue import Catalogue, UnknownProviderError
from backstop_common.providers.compiled import CompiledProvider
from backstop_recovery.adapters.asset_stores import OpenedStore, first_line
from backstop_recovery.adapters.byte_budget import ByteBudget
from backstop_recovery.adapters.declarative_providers import utc_now
from backstop_recovery.adapters.downloads import Downloads
from backstop_recovery.adapters.http_client import HttpClient, Incoming
from backstop_recovery.adapters.media import HEAD_BYTES, Media, sniff
from backstop_recovery.adapters.media_stream import BLOCK_BYTES, MediaStream, StreamLimits
from backstop_recovery.application.errors import OutputRefusedError
from backstop_recovery.application.ports import Reference, StoredAsset
from backstop_recovery.domain.verdict import Output

_PROBE = ".backstop-probe"
_PART_BYTES = 5 * 2**20
_PARALLEL_PARTS = 2
# Parts being sent, one being filled, and the block being joined.
_STREAM_WEIGHT = _PART_BYTES * (_PARALLEL_PARTS + 1) + BLOCK_BYTES
_ABORT_SECONDS = 5.0


def _ignore(_size_bytes: int) -> None:
    """The observer that looks away."""


def _budget() -> ByteBudget:
    return ByteBudget(96 * 2**20)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObstoreAssets:
    """See the module.

    Args:
        store: from `open_asset_store`.
        prefix: put before every key, for example `assets/`.
        max_bytes: a cap over all providers; each provider's own may be lower.
        on_stored: called with the size of each stored file.
    """

    store: OpenedStore
    client: HttpClient
    catalogue: Catalogue
    prefix: str = ""
    max_bytes: int = 2 * 2**30
    budget: ByteBudget = field(default_factory=_budget)
    on_stored: Callable[[int], None] = _ignore
    now: Callable[[], datetime] = utc_now

    async def copy(self, *, reference: Reference, task_id: UUID, fence: int, output: Output) -> StoredAsset:
        """Stream one output into the store; see `application.ports.AssetStore`."""
        try:
            provider = self.catalogue.get(reference.provider)
        except UnknownProviderError as error:
            raise OutputRefusedError(str(error)) from error
        stem = f"{self.prefix}{task_id}/{fence}-{output.index}"
        stored = await self._store(provider, stem, output)
        self.on_stored(stored.size_bytes)
        return stored

    async def check(self) -> None:
        """Prove that the store can be written to, for readiness and `doctor`.

        Raises:
            TransientError: it cannot, with the reason.
        """
        with _translated(self.store):
            await obstore.put_async(self.store.store, _PROBE, b"", use_multipart=False)
            if self.store.forgets_probe:
                await obstore.delete_async(self.store.store, _PROBE)

    async def _store(self, provider: CompiledProvider, stem: str, output: Output) -> StoredAsset:
        limits = StreamLimits(
            max_bytes=min(self.max_bytes, provider.download.max_bytes), total_seconds=provider.download.timeout.total
        )
        if output.content is not None:
            return await self._store_inline(stem, output, output.content, limits)
        if output.url is None:
            raise OutputRefusedError("the output has neither an address nor content")
        async with (
            Downloads(self.client, self.now).open(provider, output.url) as incoming,
            self._stream(incoming, limits) as stream,
        ):
            media = _recognised(await stream.read_first(), incoming.headers.get("content-type"))
            key = f"{stem}.{media.extension}"
            if stream.ended:
                await self._put(key, stream.first, media)
            else:
                await self._put_stream(key, stream, media, incoming)
            return StoredAsset(output.index, output.role, key, stream.size_bytes, stream.sha256, media.content_type)

    @asynccontextmanager
    async def _stream(self, incoming: Incoming, limits: StreamLimits) -> AsyncIterator[MediaStream]:
        announced = _announced_bytes(incoming)
        if announced is not None and announced > limits.max_bytes:
            raise OutputRefusedError(f"the file has {announced} bytes, more than {limits.max_bytes}")
        async with self.budget.reserve(_weight(announced)):
            yield MediaStream(incoming.chunks(), limits=limits, expected_bytes=announced)

    async def _store_inline(self, stem: str, output: Output, content: bytes, limits: StreamLimits) -> StoredAsset:
        if len(content) > limits.max_bytes:
            raise OutputRefusedError(f"the file has {len(content)} bytes, more than {limits.max_bytes}")
        media = _recognised(content, output.media_type)
        key = f"{stem}.{media.extension}"
        await self._put(key, content, media)
        digest = hashlib.sha256(content).hexdigest()
        return StoredAsset(output.index, output.role, key, len(content), digest, media.content_type)

    async def _put(self, key: str, content: bytes, media: Media) -> None:
        with _translated(self.store):
            await obstore.put_async(
                self.store.store, key, content, attributes=self._attributes(media), max_concurrency=_PARALLEL_PARTS
            )

    async def _put_stream(self, key: str, stream: MediaStream, media: Media, incoming: Incoming) -> None:
        with _translated(self.store):
            upload = asyncio.ensure_future(
                obstore.put_async(
                    self.store.store,
                    key,
                    stream.blocks(),
                    attributes=self._attributes(media),
                    chunk_size=_PART_BYTES,
                    max_concurrency=_PARALLEL_PARTS,
                )
            )
            try:
                await asyncio.shield(upload)
            except asyncio.CancelledError:
                # Closing the source makes the iteration raise, and the store abort its multipart upload.
                incoming.abort()
                await asyncio.wait({upload}, timeout=_ABORT_SECONDS)
                if upload.done() and not upload.cancelled():
                    upload.exception()
                raise
            finally:
                # Its exception's traceback holds this frame: a circle that would keep the last blocks in memory.
                del upload

    def _attributes(self, media: Media) -> dict[str, str] | None:
        return {"Content-Type": media.content_type} if self.store.keeps_content_type else None


class _translated:  # noqa: N801 - reads as a statement
    """A store's own exceptions as `TransientError`; those of the stream pass through unchanged."""

    def __init__(self, store: OpenedStore) -> None:
        self._label = store.label

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, BaseError | OSError | NotImplementedError):
            raise TransientError(f"the asset store {self._label} failed: {first_line(error)}") from error


def _weight(announced: int | None) -> int:
    """The memory a copy takes: all of a small file, and parts of a large or unknown one."""
    if announced is None:
        return _STREAM_WEIGHT
    return announced if announced < BLOCK_BYTES else min(announced + 2 * BLOCK_BYTES, _STREAM_WEIGHT)


def _announced_bytes(incoming: Incoming) -> int | None:
    text = incoming.headers.get("content-length", "")
    encoded = incoming.headers.get("content-encoding", "identity").lower() != "identity"
    return int(text) if text.isdecimal() and not encoded else None


def _recognised(head: bytes, declared: str | None) -> Media:
    if not head:
        raise TransientError("the file host sent an empty body")
    media = sniff(head[:HEAD_BYTES])
    if media is None:
        said = f", declared as {declared.split(';')[0].strip()[:80]}" if declared else ""
        raise OutputRefusedError(f"the bytes are no image, video, audio or model{said}")
    return media
