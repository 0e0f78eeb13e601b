"""The SMTP server of the sandbox, inside the running event loop.

`set_down(True)` closes the listening socket and every session, as a mail host that is away does; `set_down(False)`
listens on the same port again.
"""

import asyncio
import logging
import socket
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

from aiosmtpd.smtp import SMTP, AuthResult

from backstop_sandbox.mailbox import Mailbox

LARGEST_MAIL = 25 * 1024 * 1024


@dataclass(frozen=True)  # without slots: aiosmtpd looks through all members, which raises on them before Python 3.11.4
class _Hooks:
    """What aiosmtpd calls; the names are its own."""

    mailbox: Mailbox

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        answer = self.mailbox.recipient_answer(address)
        if answer is not None:
            return answer
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        mail = self.mailbox.receive(envelope.content, envelope.mail_from or "", list(envelope.rcpt_tos))
        return f"250 2.0.0 OK kept as {mail.number}"


@dataclass(slots=True)
class MailServer:
    """Listens on `host:port`; port 0 becomes the port the system chose."""

    mailbox: Mailbox
    host: str
    port: int
    _server: asyncio.Server | None = None
    _sessions: WeakSet[Any] = field(default_factory=WeakSet)

    @property
    def down(self) -> bool:
        return self._server is None

    async def start(self, listener: socket.socket) -> None:
        # aiosmtpd tells every command of every session at INFO, addresses included.
        logging.getLogger("mail.log").setLevel(logging.WARNING)
        self.port = listener.getsockname()[1]
        self._server = await asyncio.get_running_loop().create_server(self._session, sock=listener)

    async def set_down(self, down: bool) -> None:
        """Raises OSError when somebody else took the port in the meantime."""
        if down:
            await self.stop()
        elif self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._session, self.host, self.port)

    async def stop(self) -> None:
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        connected = [session for session in self._sessions if session.transport is not None]
        for session in connected:
            session.transport.abort()
        # aiosmtpd offers no other way to wait until its sessions are over.
        await asyncio.gather(*(session._handler_coroutine for session in connected), return_exceptions=True)  # noqa: SLF001
        await server.wait_closed()

    def _session(self) -> Any:
        session = SMTP(
            _Hooks(self.mailbox),
            data_size_limit=LARGEST_MAIL,
            enable_SMTPUTF8=True,
            hostname="sandbox.localhost",
            ident="Backstop sandbox",
            auth_require_tls=False,
            authenticator=_let_everybody_in,
            loop=asyncio.get_running_loop(),
        )
        self._sessions.add(session)
        return session


def _let_everybody_in(*_args: Any) -> Any:
    return AuthResult(success=True)
