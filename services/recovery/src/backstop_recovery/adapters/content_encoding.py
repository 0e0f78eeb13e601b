"""Bodies that come compressed although nobody asked for it: gzip is unpacked, in pieces; the others are refused.

A body that ends before its gzip does is `CutEncodingError`: half a file must never pass for a whole one. What grows
without measure, is no gzip, or is packed in a way we do not read is `BadEncodingError`. Words that name no compression
(`aws-chunked`, `utf-8` and other mistakes of the field) change nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

from backstop_common.errors import PermanentError, TransientError

_GZIP_NAMES = frozenset({"gzip", "x-gzip"})
_REFUSED = frozenset({"br", "compress", "deflate", "x-compress", "zstd"})
_GZIP = 31
_PIECE_BYTES = 2**16
_FREE_BYTES = 2**20
_MOST_GROWTH = 100


class BadEncodingError(PermanentError):
    """The body is packed in a way that is not taken in."""


class CutEncodingError(TransientError):
    """The packed body ended before its end."""


def is_packed(encoding: str) -> bool:
    """Whether a `Content-Encoding` names any compression."""
    return bool(_words(encoding) & (_GZIP_NAMES | _REFUSED))


async def unpacked(chunks: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    """The body as it was before it was packed, in pieces of 64 KiB at most.

    Raises:
        BadEncodingError, CutEncodingError: see the module.
    """
    if _words(encoding) & _REFUSED or encoding.count(",") > 0:
        raise BadEncodingError(f"the body is packed as {encoding[:40]!r}, which nobody asked for")
    unpacker, packed_bytes, plain_bytes = zlib.decompressobj(_GZIP), 0, 0
    async for chunk in chunks:
        packed_bytes += len(chunk)
        rest, more = chunk, True
        while more:
            piece = _piece(unpacker, rest)
            plain_bytes += len(piece)
            if plain_bytes > _FREE_BYTES and plain_bytes > packed_bytes * _MOST_GROWTH:
                raise BadEncodingError(f"the body unpacks to more than {_MOST_GROWTH} times its size")
            if piece:
                yield piece
            rest = unpacker.unconsumed_tail
            more = bool(rest) or len(piece) == _PIECE_BYTES
        if unpacker.unused_data:
            raise BadEncodingError("the body goes on behind the end of its gzip")
    if not unpacker.eof:
        raise CutEncodingError("the packed body ended before its end")


def _piece(unpacker: zlib._Decompress, data: bytes) -> bytes:
    try:
        return unpacker.decompress(data, _PIECE_BYTES)
    except zlib.error as error:
        raise BadEncodingError("the body is declared as gzip and is none") from error


def _words(encoding: str) -> set[str]:
    return {word.strip().lower() for word in encoding.split(",")}
