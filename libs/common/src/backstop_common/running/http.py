"""A uvicorn server inside our own event loop: own signals, own socket, and an end that does not hang."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from backstop_common.errors import ConfigurationError

_GRACE_SECONDS = 5


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process."""
        yield


class HttpServer:
    """Serves one application on one address. Port 0 takes a free one; `port` tells which."""

    def __init__(self, app: ASGIApp, *, host: str, port: int, setting: str) -> None:
        self._app = app
        self._host = host
        self._requested_port = port
        self._setting = setting
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.port = port

    async def start(self) -> None:
        """Bind and serve.

        Raises:
            ConfigurationError: the address cannot be bound; the sentence names the setting.
        """
        listener = self._bind()
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name=f"http:{self.port}")
        while not self._server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(0.01)

    def _bind(self) -> socket.socket:
        listener = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self._host, self._requested_port))
        except OSError as error:
            listener.close()
            address = f"{self._host}:{self._requested_port}"
            if error.errno == errno.EADDRINUSE:
                raise ConfigurationError(
                    f"{self._setting}: {address} is already in use;"
                    f" stop the other program or set {self._setting} to a free port"
                ) from None
            raise ConfigurationError(
                f"{self._setting}: cannot listen on {address} ({error.strerror});"
                f" correct BACKSTOP_HOST or {self._setting}"
            ) from None
        listener.listen(128)
        listener.setblocking(False)
        return listener

    async def stop(self) -> None:
        """Finish running requests for a few seconds, then close."""
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        await self._task
