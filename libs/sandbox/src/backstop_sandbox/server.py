"""The sandbox as one thing to start and stop, inside whatever event loop is running.

No signal handler is touched. `stop` ends every connection and waits until nothing of the sandbox runs any more.
A port or folder that cannot be used raises `SettingError`; what had been started by then is stopped again.
"""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import uvicorn
from starlette.applications import Starlette

from backstop_sandbox.chat.room import ChatRoom
from backstop_sandbox.faults.connections import Connections, tracking
from backstop_sandbox.keeper import Keeper
from backstop_sandbox.mailbox import Mailbox
from backstop_sandbox.settings import SandboxSettings, SettingError
from backstop_sandbox.smtp import MailServer
from backstop_sandbox.web.app import build_app
from backstop_sandbox.web.parts import Parts
from backstop_sandbox.world import World

EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised here, chosen by the settings
GRACE_SECONDS = 2


def utc_now() -> datetime:
    return datetime.now(UTC)


class Sandbox:
    """`url` and `smtp_port` are known once started."""

    def __init__(self, settings: SandboxSettings, now: Callable[[], datetime] = utc_now) -> None:
        self.settings = settings
        self.world = World(now)
        self.mailbox = Mailbox(now)
        self.chats = ChatRoom(now)
        self.url = ""
        self.smtp_port = 0
        self._running: AsyncExitStack | None = None

    async def start(self) -> None:
        """Listen on both ports.

        Raises:
            SettingError: a port is taken, the host is not ours, or the state folder cannot be used.
        """
        if self._running is not None:
            raise RuntimeError("the sandbox runs already")
        async with AsyncExitStack() as starting:
            forget = await self._keep(starting)
            smtp = _listen(self.settings.host, self.settings.smtp_port, "SANDBOX_SMTP_PORT", starting)
            http = _listen(self.settings.host, self.settings.port, "SANDBOX_PORT", starting)
            mail_server = MailServer(self.mailbox, self.settings.host, self.settings.smtp_port)
            starting.push_async_callback(mail_server.stop)
            await mail_server.start(smtp)
            stopping = asyncio.Event()
            connections = Connections(stopping)
            parts = Parts(self.world, self.mailbox, self.chats, mail_server, stopping, connections, forget)
            server = Server(_config(build_app(parts, self.settings.assets_dir), connections))
            await _serve(server, http, stopping, starting)
            self.url = _url(self.settings.host, http.getsockname()[1])
            self.smtp_port = mail_server.port
            self._running = starting.pop_all()

    async def stop(self) -> None:
        """Stop listening, end what is under way, save. Stopping twice is fine."""
        running, self._running = self._running, None
        if running is not None:
            await running.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _keep(self, starting: AsyncExitStack) -> Callable[[], None]:
        """Load and go on saving; returns what empties the folder."""
        if self.settings.state_dir is None:
            return lambda: None
        keeper = Keeper(self.settings.state_dir, self.world, self.mailbox, self.chats)
        keeper.open()
        saving = asyncio.create_task(keeper.run())

        async def save_and_end() -> None:
            keeper.close()
            await saving

        starting.push_async_callback(save_and_end)
        return keeper.clear


class Server(uvicorn.Server):
    """uvicorn inside somebody else's loop: signals stay theirs, and `listening` tells when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set()


async def _serve(server: Server, listener: socket.socket, stopping: asyncio.Event, starting: AsyncExitStack) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]))

    async def stop() -> None:
        stopping.set()
        server.should_exit = True
        await serving

    starting.push_async_callback(stop)
    await server.listening.wait()


def _config(app: Starlette, connections: Connections) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=tracking(connections),
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _listen(host: str, port: int, name: str, starting: AsyncExitStack) -> socket.socket:
    """A listening socket, closed with `starting`.

    Raises:
        SettingError: naming the setting `name` or SANDBOX_HOST.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = starting.enter_context(socket.socket(family, kind, protocol))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
        listener.setblocking(False)
    except OSError as error:
        raise _unusable(host, port, name, error) from error
    return listener


def _unusable(host: str, port: int, name: str, error: OSError) -> SettingError:
    if error.errno == errno.EADDRINUSE:
        return SettingError(
            f"{name} {port} is in use on {host}: stop what listens there, or set {name} to another port."
        )
    if error.errno == errno.EACCES:
        return SettingError(f"{name} {port} needs privileges: set {name} to a port above 1023.")
    return SettingError(
        f"SANDBOX_HOST {host!r} cannot be listened on ({error.strerror}): set it to 127.0.0.1 or 0.0.0.0."
    )


def _url(host: str, port: int) -> str:
    address = EVERY_ADDRESS.get(host, host)
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
