"""The outside world of a measurement: Replicate's status endpoint and its file host, in a process of its own.

Every prediction has succeeded with one output, the same PNG for all; but those whose id begins with `f-` have failed
and those with `p-` are still processing. Answers are prepared beforehand and the
protocol is the least that works for keep-alive GETs, so that the world costs a small part of what any contestant
costs; `GET /usage` tells how much. The process prints its port and the file's digest as JSON, listens on loopback
only, and ends when its standard input is closed, which also happens when whoever started it dies.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import zlib
from dataclasses import dataclass

from benchmarks.participant import TOKEN, cpu_seconds

_PREDICTION = b"""{"id": "%(id)b", "model": "sandbox/still", "version": "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa",
"input": {"prompt": "a lighthouse in the fog"}, "logs": "", "output": ["%(origin)b/files/%(id)b/out-0.png"],
"data_removed": false, "error": null, "status": "succeeded", "created_at": "2026-11-23T09:00:00.000Z",
"started_at": "2026-11-23T09:00:01.100Z", "completed_at": "2026-11-23T09:00:05.400Z",
"metrics": {"predict_time": 4.3, "total_time": 5.4},
"urls": {"get": "%(origin)b/v1/predictions/%(id)b", "cancel": "%(origin)b/v1/predictions/%(id)b/cancel"}}"""  # noqa: E501 - as Replicate sends it
_UNFINISHED = {
    b"f-": b"""{"id": "%(id)b", "output": null, "error": "NSFW content detected", "status": "failed"}""",
    b"p-": b"""{"id": "%(id)b", "output": null, "error": null, "status": "processing"}""",
}
_HEAD = b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"


def png(size_bytes: int) -> bytes:
    """A valid picture of exactly this size: one pixel, and a private chunk that readers skip."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = chunk(b"IHDR", (1).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0]))
    pixel, end = chunk(b"IDAT", zlib.compress(b"\x00\x80")), chunk(b"IEND", b"")
    signature = b"\x89PNG\r\n\x1a\n"
    filling = size_bytes - len(signature + header + pixel + end) - 12
    noise = hashlib.shake_128(b"backstop").digest(filling)
    return signature + header + chunk(b"baCk", noise) + pixel + end


def _answer(status: bytes, kind: bytes, body: bytes) -> bytes:
    return _HEAD % (status, kind, len(body)) + body


@dataclass(frozen=True, slots=True)
class World:
    """What there is to ask for. The latency comes before each answer."""

    origin: bytes
    file: bytes
    latency_seconds: float

    def answer(self, target: bytes, head: bytes) -> bytes:
        """The whole answer to one GET."""
        if target.startswith(b"/v1/predictions/"):
            if b"Bearer " + TOKEN.encode() not in head:
                return _answer(b"401 Unauthorized", b"application/json", b'{"title": "Unauthenticated"}')
            name = target.rpartition(b"/")[2]
            body = _UNFINISHED.get(name[:2], _PREDICTION) % {b"id": name, b"origin": self.origin}
            return _answer(b"200 OK", b"application/json", body)
        if target.startswith(b"/files/"):
            return self.file
        if target == b"/usage":
            return _answer(b"200 OK", b"application/json", json.dumps({"cpu_seconds": cpu_seconds()}).encode())
        return _answer(b"404 Not Found", b"text/plain", b"nothing here")


class _Connection(asyncio.Protocol):
    def __init__(self, world: World) -> None:
        self._world = world
        self._unread = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *heads, self._unread = (self._unread + data).split(b"\r\n\r\n")
        for head in heads:
            answer = self._world.answer(head.split(b" ", 2)[1], head)
            if self._world.latency_seconds:
                asyncio.get_running_loop().call_later(self._world.latency_seconds, self._send, answer)
            else:
                self._send(answer)

    def _send(self, answer: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer)


async def _serve(*, latency_seconds: float, file_bytes: int) -> None:
    picture = png(file_bytes)
    worlds: list[World] = []
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(worlds[0]), "127.0.0.1", 0, backlog=1024
    )
    port = server.sockets[0].getsockname()[1]
    worlds.append(World(b"http://127.0.0.1:%d" % port, _answer(b"200 OK", b"image/png", picture), latency_seconds))
    print(json.dumps({"port": port, "sha256": hashlib.sha256(picture).hexdigest()}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve(**json.loads(sys.argv[1])))
