"""Large files that are on no disk: a true head, then noise made while it is sent, as fast as wanted."""

from __future__ import annotations

import asyncio
import hashlib
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from aiohttp import web

MIB = 2**20
MP4_HEAD = b"\0\0\0\x18ftypisom\0\0\0\0isommp41"
NOISE = random.Random(20261123).randbytes(MIB)


@dataclass(slots=True)
class LargeFile:
    """An MP4 of so many MiB. `seconds` is how long sending it takes at least; `sent` counts who asked for it."""

    mebibytes: int
    seed: int = 0
    seconds: float = 0.0
    sent: int = 0

    @property
    def size_bytes(self) -> int:
        return self.mebibytes * MIB

    def blocks(self) -> Iterator[bytes]:
        """Its content, 1 MiB at a time; no two blocks are the same, nor two files of different seeds."""
        for number in range(self.mebibytes):
            mark = (MP4_HEAD if number == 0 else b"") + struct.pack(">QQ", self.seed, number)
            yield mark + NOISE[len(mark) :]

    def sha256(self) -> str:
        """Of the whole content; takes seconds for a GiB."""
        digest = hashlib.sha256()
        for block in self.blocks():
            digest.update(block)
        return digest.hexdigest()

    async def stream(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request with it."""
        loop = asyncio.get_running_loop()
        self.sent += 1
        started = loop.time()
        response = web.StreamResponse(headers={"Content-Type": "video/mp4"})
        response.content_length = self.size_bytes
        await response.prepare(request)
        for number, block in enumerate(self.blocks(), start=1):
            await response.write(block)
            ahead = started + self.seconds * number / self.mebibytes - loop.time()
            if ahead > 0:
                await asyncio.sleep(ahead)
        return response
