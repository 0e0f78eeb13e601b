"""Bodies under a content encoding that nobody asked for: bombs, and one that ends before its end."""

import struct
import zlib
from base64 import b64decode
from functools import cache

from starlette.responses import Response

from backstop_sandbox.faults.words import Fault

PNG_HEAD = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
BOMB_BLOCKS = 256
BLOCK = b"\x00" * 2**20
GZIP, RAW_DEFLATE = 31, -15
GZIP_HEAD = b"\x1f\x8b\x08" + b"\x00" * 6 + b"\xff"
# 256 MiB of zeros behind the head of a PNG; made with node's zlib.
BROTLI_BOMB = (
    "z///f/iPlO4K10A3tnx4bYJaRKzN0IgHA4FT7/9/Jy0B7oqD////8E8AxGEBgO79P////+GfAIjDIgDd+3/+///DPwEQhwUAuvf//P//h38C"
    "IA4LAHTv//n//w//BEAcFgDo3v/z//8f/gmAOCwA0L3/5///P/wTAHFYAKB7/8///3/4JwDisABA9/6f////8E8AxGEBgO79P////+GfAIjD"
    "AgDd+3/+///DPwEQhwUAuvf//P//h38CIA4LAHTv//n//w//BEAcFgDo3v/z//8f/gmAOCwA0L3/5///P/wTAHFYAKB7/x8PAPgnAKqAAwIA"
    "AQ=="
)


def encoded_of(fault: Fault, body: bytes, media_type: str) -> Response | None:
    """The answer of a fault of encoding, or None when it is none."""
    match fault:
        case Fault.GZIP_BOMB:
            return _encoded(_gzip_bomb(), "gzip", media_type)
        case Fault.BROTLI_BOMB:
            return _encoded(b64decode(BROTLI_BOMB), "br", media_type)
        case Fault.GZIP_CUT:
            whole = _gzip(body)
            return _encoded(whole[: len(whole) * 2 // 3], "gzip", media_type)
        case _:
            return None


def _encoded(content: bytes, encoding: str, media_type: str) -> Response:
    return Response(content, headers={"Content-Type": media_type, "Content-Encoding": encoding})


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, GZIP)
    return packer.compress(body) + packer.flush()


@cache
def _gzip_bomb() -> bytes:
    """256 MiB of zeros behind the head of a PNG: a block after a full flush is the same bytes every time."""
    packer = zlib.compressobj(9, zlib.DEFLATED, RAW_DEFLATE)
    start = packer.compress(PNG_HEAD) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(BLOCK) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = zlib.crc32(PNG_HEAD)
    for _ in range(BOMB_BLOCKS):
        checksum = zlib.crc32(BLOCK, checksum)
    trailer = struct.pack("<II", checksum, len(PNG_HEAD) + BOMB_BLOCKS * len(BLOCK))
    return GZIP_HEAD + start + block * BOMB_BLOCKS + packer.flush() + trailer
