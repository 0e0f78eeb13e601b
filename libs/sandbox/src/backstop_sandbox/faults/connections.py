"""The connections below HTTP, for faults that no well-formed answer can show: resets, halves of headers, lies.

`tracking(connections)` is the protocol class for uvicorn; `RawAnswer` plays onto the socket of its request. A client
that hangs up ends the play quietly.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_UNSENT_BYTES = 256 * 1024
UNSENT_PAUSE_SECONDS = 0.005
LINGER_NOT = struct.pack("ii", 1, 0)


class HungUpError(Exception):
    """The client is gone, or the sandbox is stopping: there is nobody left to play for."""


@dataclass(frozen=True, slots=True)
class Connections:
    """The open ones by the client's address. `stopping` ends every play."""

    stopping: asyncio.Event
    transports: dict[tuple[str, int], asyncio.Transport] = field(default_factory=dict)


def tracking(connections: Connections) -> type[H11Protocol]:
    """uvicorn's protocol, which remembers its transport as long as it is connected."""

    class TrackedProtocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if self.client is not None:
                connections.transports[self.client] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            if self.client is not None:
                connections.transports.pop(self.client, None)
            super().connection_lost(exc)

    return TrackedProtocol


@dataclass(frozen=True, slots=True)
class Wire:
    """One connection, byte by byte. `send` and `pause` raise `HungUpError` when it is over."""

    transport: asyncio.Transport
    stopping: asyncio.Event

    async def send(self, data: bytes) -> None:
        """Hand over bytes, and wait until most of them are on their way."""
        self._require_open()
        self.transport.write(data)
        while self.transport.get_write_buffer_size() > MOST_UNSENT_BYTES:
            await self.pause(UNSENT_PAUSE_SECONDS)

    async def pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            self._require_open()
        else:
            raise HungUpError

    def reset(self) -> None:
        """End with RST instead of FIN: the peer's kernel calls it a connection reset."""
        connected = self.transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self.transport.abort()

    def _require_open(self) -> None:
        if self.transport.is_closing():
            raise HungUpError


Play = Callable[[Wire], Awaitable[None]]


class RawAnswer(Response):
    """Plays onto the socket instead of answering, and closes it afterwards."""

    def __init__(self, connections: Connections, play: Play) -> None:
        super().__init__()
        self._connections = connections
        self._play = play

    async def __call__(self, scope: Scope, receive: Receive, _send: Send) -> None:
        transport = self._connections.transports[scope["client"]]
        try:
            await self._play(Wire(transport, self._connections.stopping))
        except HungUpError:
            pass
        finally:
            transport.close()
        while (await receive())["type"] != "http.disconnect":
            continue
