"""Compressed bodies nobody asked for: whole ones are unpacked in small pieces, all others are not taken."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop_recovery.adapters.content_encoding import BadEncodingError, CutEncodingError, is_packed, unpacked

NOISE = os.urandom(300_000)


async def in_chunks(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        await asyncio.sleep(0)
        yield data[start : start + size]


async def pieces(data: bytes, *, encoding: str = "gzip", size: int = 10_000) -> list[bytes]:
    return [piece async for piece in unpacked(in_chunks(data, size), encoding)]


@pytest.mark.parametrize("size", [1, 999, 10**6])
async def test_a_whole_body_is_unpacked(size: int) -> None:
    assert b"".join(await pieces(gzip.compress(NOISE[:5000] * 3), size=size)) == NOISE[:5000] * 3


@given(st.binary(max_size=200_000).map(lambda data: data * 3), st.integers(1, 70_000))
def test_any_body_comes_back_in_pieces_of_64_kib_at_most(data: bytes, size: int) -> None:
    got = asyncio.run(pieces(gzip.compress(data), size=size))
    assert b"".join(got) == data
    assert max(map(len, got), default=0) <= 2**16


@pytest.mark.parametrize("missing", [1, 8, 1000, 200_000])
async def test_a_body_that_ends_before_its_gzip_is_cut_short(missing: int) -> None:
    with pytest.raises(CutEncodingError):
        await pieces(gzip.compress(NOISE)[:-missing])


async def test_no_body_at_all_is_cut_short() -> None:
    with pytest.raises(CutEncodingError):
        await pieces(b"")


async def test_a_bomb_is_dropped_after_its_first_mebibyte() -> None:
    plain_bytes = 0

    async def swallow(bomb: bytes) -> None:
        nonlocal plain_bytes
        async for piece in unpacked(in_chunks(bomb, 1000), "gzip"):
            plain_bytes += len(piece)

    with pytest.raises(BadEncodingError, match="more than 100 times"):
        await swallow(gzip.compress(bytes(64 * 2**20)))
    assert 0 < plain_bytes < 2 * 2**20


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"<html>", "gzip"),
        (gzip.compress(b"a") + b"<script>", "gzip"),
        (gzip.compress(gzip.compress(b"a")), "gzip, gzip"),
        (b"x", "br"),
        (b"x", "ZSTD"),
        (b"x", "deflate"),
    ],
    ids=["a page", "more behind it", "packed twice", "br", "zstd", "deflate"],
)
async def test_what_is_no_plain_gzip_is_refused(data: bytes, encoding: str) -> None:
    with pytest.raises(BadEncodingError):
        await pieces(data, encoding=encoding)


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [("gzip", True), ("X-GZIP", True), ("br", True), ("", False), ("identity", False), ("aws-chunked", False)],
)
def test_only_names_of_compressions_mean_a_packed_body(encoding: str, packed: bool) -> None:
    assert is_packed(encoding) is packed
