"""A file host or provider on loopback: answers by path, remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    connection: object


@dataclass(slots=True)
class HttpServer:
    """`host` is `127.0.0.1:port`, as in ALLOW_PRIVATE_HOSTS."""

    host: str = ""
    asked: list[Asked] = field(default_factory=list)
    handlers: dict[str, Handler] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def answer(self, path: str, body: bytes = b"", *, status: int = 200, headers: dict[str, str] | None = None) -> str:
        """Give a fixed answer at a path; the whole address."""

        async def handler(_request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(body=body, status=status, headers=headers)

        return self.handle(path, handler)

    def redirect(self, path: str, location: str, *, status: int = 302) -> str:
        """Redirect from a path; the whole address."""
        return self.answer(path, status=status, headers={"Location": location})

    def handle(self, path: str, handler: Handler) -> str:
        """Answer at a path with a function; the whole address."""
        self.handlers[path] = handler
        return self.url + path


@asynccontextmanager
async def http_server() -> AsyncIterator[HttpServer]:
    """A running server."""
    server = HttpServer()

    async def dispatch(request: web.BaseRequest) -> web.StreamResponse:
        connection = request.transport
        server.asked.append(Asked(request.raw_path, dict(request.headers), id(connection)))
        handler = server.handlers.get(request.path)
        return await handler(request) if handler else web.Response(status=404, text="nothing here")

    runner = web.ServerRunner(web.Server(dispatch), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.host = f"127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw_server(pieces: Iterable[bytes], *, stall_seconds: float = 0.0) -> AsyncIterator[str]:
    """Sends these bytes whatever it is asked, waits, and closes the connection. Yields `127.0.0.1:port`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if stall_seconds:
                await asyncio.wait_for(reader.read(), stall_seconds)
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
