"""Answers that break on the way: resets, crawling, cut and endless ones. Each is a play on the raw connection."""

from dataclasses import dataclass

from backstop_sandbox.faults.connections import Play, Wire
from backstop_sandbox.faults.words import Fault

TEN_GB = 10 * 10**9
CRAWL_SECONDS = 0.5
MOMENT_SECONDS = 0.05
FILLER = b"x" * 65536


@dataclass(frozen=True, slots=True)
class Sent:
    """What would have been sent on a good day."""

    body: bytes
    media_type: str


def play_of(fault: Fault, sent: Sent) -> Play | None:
    """How to play a fault, or None when it is none of these."""
    plays = {
        Fault.RESET_BEFORE: _reset_before,
        Fault.RESET_WITHIN: _reset_within,
        Fault.SLOW_HEADERS: _slow_headers,
        Fault.SLOW_BODY: _slow_body,
        Fault.CUT_SHORT: _cut_short,
        Fault.CHUNK_CUT: _chunk_cut,
        Fault.HUGE_LENGTH: _huge_length,
        Fault.ENDLESS: _endless,
    }
    play = plays.get(fault)
    if play is None:
        return None
    return lambda wire: play(wire, sent)


def _head(sent: Sent, framing: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {sent.media_type}\r\n{framing}\r\nConnection: close\r\n\r\n".encode()


def _sized(sent: Sent, length: int | None = None) -> bytes:
    return _head(sent, f"Content-Length: {len(sent.body) if length is None else length}")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _half(sent: Sent) -> bytes:
    return sent.body[: len(sent.body) // 2]


async def _reset_before(wire: Wire, _sent: Sent) -> None:
    wire.reset()


async def _reset_within(wire: Wire, sent: Sent) -> None:
    await wire.send(_sized(sent) + _half(sent))
    await wire.pause(MOMENT_SECONDS)
    wire.reset()


async def _slow_headers(wire: Wire, _sent: Sent) -> None:
    """A header every half second, and never the last one."""
    await wire.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await wire.send(b"X-Wait: a little\r\n")
        await wire.pause(CRAWL_SECONDS)


async def _slow_body(wire: Wire, sent: Sent) -> None:
    await wire.send(_sized(sent))
    for byte in sent.body:
        await wire.send(bytes([byte]))
        await wire.pause(CRAWL_SECONDS)


async def _cut_short(wire: Wire, sent: Sent) -> None:
    await wire.send(_sized(sent) + _half(sent))


async def _chunk_cut(wire: Wire, sent: Sent) -> None:
    """All of the body, but not the chunk that would end it."""
    await wire.send(_head(sent, "Transfer-Encoding: chunked") + _chunk(sent.body))


async def _huge_length(wire: Wire, sent: Sent) -> None:
    await wire.send(_sized(sent, TEN_GB) + sent.body)


async def _endless(wire: Wire, sent: Sent) -> None:
    """As fast as it is read; a JSON object stays open in its last string."""
    start = sent.body[:-1] + b', "more": "' if sent.body.endswith(b"}") else sent.body
    await wire.send(_head(sent, "Transfer-Encoding: chunked") + _chunk(start))
    while True:
        await wire.send(_chunk(FILLER))
