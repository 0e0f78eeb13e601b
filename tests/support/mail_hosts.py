"""Mail hosts that misbehave in ways a well-made server cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_ANSWERS = {
    b"EHLO": b"250-host\r\n250 AUTH PLAIN LOGIN\r\n",
    b"AUTH": b"535 5.7.8 wrong user or password\r\n",
    b"MAIL": b"250 ok\r\n",
    b"RCPT": b"250 ok\r\n",
    b"RSET": b"250 ok\r\n",
    b"DATA": b"354 go on\r\n",
    b"QUIT": b"221 bye\r\n",
}


@asynccontextmanager
async def mail_host_that_hangs_up_after_the_content() -> AsyncIterator[int]:
    """Refuses every login, takes everything else, and closes the connection instead of the last answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"220 host\r\n")
            while line := await reader.readline():
                verb = line[:4].upper()
                writer.write(_ANSWERS.get(verb, b"500 what?\r\n"))
                await writer.drain()
                if verb == b"DATA":
                    await reader.readuntil(b"\r\n.\r\n")
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
