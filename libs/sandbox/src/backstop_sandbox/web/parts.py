"""What the routes share: the stores, the mail server, and whether the sandbox is stopping."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from backstop_sandbox.chat.room import ChatRoom
from backstop_sandbox.faults.connections import Connections
from backstop_sandbox.mailbox import Mailbox
from backstop_sandbox.smtp import MailServer
from backstop_sandbox.world import World


@dataclass(frozen=True, slots=True)
class Parts:
    """`forget` empties what is kept on disk, beside the stores themselves."""

    world: World
    mailbox: Mailbox
    chats: ChatRoom
    mail_server: MailServer
    stopping: asyncio.Event
    connections: Connections
    forget: Callable[[], None]


def origin_of(request: Request) -> str:
    """The address the caller used, so that answers hold links that work from where it stands."""
    return str(request.base_url).rstrip("/")


def path_of(request: Request) -> str:
    """The path and query the caller asked for."""
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{request.url.path}{query}"
