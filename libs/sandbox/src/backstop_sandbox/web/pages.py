"""The page for people: what arrived, newest first, and how the world stands. Server-rendered; nothing from other hosts.

`/?part=main` is the changing part alone, with an entity tag, for the page's own refresh.
"""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from backstop_sandbox.chat.cards import post_of
from backstop_sandbox.faults.words import Side
from backstop_sandbox.script import FileBehaviour
from backstop_sandbox.stages import Stage, final_stage, output_path
from backstop_sandbox.web.parts import Parts, origin_of
from backstop_sandbox.world import Generation

HERE = Path(__file__).parent.parent
NEWEST = 60
PREVIEWED_OUTPUTS = 3
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; media-src 'self'; frame-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data: http://localhost:* http://127.0.0.1:*; "
    "sandbox allow-popups allow-popups-to-escape-sandbox; frame-ancestors 'self'"
)
FAULTY = {Side.API: "every provider", Side.FILE: "the file host"}
HEAD = re.compile(r"<head\b[^>]*>", re.IGNORECASE)
# A link in a mail opens beside the sandbox, not inside the little frame.
NEW_TAB = '<base target="_blank">'


def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@dataclass(frozen=True, slots=True)
class Pages:
    parts: Parts
    templates: Environment = field(default_factory=_templates)

    def routes(self) -> list[Route | Mount]:
        return [
            Route("/", self.home),
            Route("/mails/{number:int}", self.mail),
            Route("/mails/{number:int}/html", self.mail_html),
            Route("/mails/{number:int}/raw", self.mail_raw),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ]

    async def home(self, request: Request) -> Response:
        part = request.query_params.get("part") == "main"
        return self._page(request, "main.html" if part else "home.html", self._home(request))

    async def mail(self, request: Request) -> Response:
        mail = self.parts.mailbox.find(request.path_params["number"])
        if mail is None:
            return _no_such_mail()
        return self._page(request, "mail.html", {"mail": mail, "last": len(self.parts.mailbox.mails)})

    async def mail_html(self, request: Request) -> Response:
        """The HTML part alone, for the sandboxed frame: no scripts, no forms, no other hosts."""
        mail = self.parts.mailbox.find(request.path_params["number"])
        if mail is None or mail.html is None:
            return _no_such_mail()
        content, found = HEAD.subn(lambda head: head[0] + NEW_TAB, mail.html, count=1)
        return HTMLResponse(content if found else NEW_TAB + content, headers={"Content-Security-Policy": MAIL_POLICY})

    async def mail_raw(self, request: Request) -> Response:
        mail = self.parts.mailbox.find(request.path_params["number"])
        if mail is None:
            return _no_such_mail()
        return PlainTextResponse(mail.raw.decode("utf-8", "replace"))

    def _home(self, request: Request) -> dict[str, Any]:
        mailbox, chats, world = self.parts.mailbox, self.parts.chats, self.parts.world
        generations = list(world.generations.values())
        return {
            "origin": origin_of(request),
            "smtp_port": self.parts.mail_server.port,
            "troubles": self._troubles(),
            "mails": mailbox.mails[: -NEWEST - 1 : -1],
            "mail_count": len(mailbox.mails),
            "posts": [post_of(message) for message in chats.messages[: -NEWEST - 1 : -1]],
            "chat_count": len(chats.messages),
            "turned_away": chats.turned_away,
            "generations": [(one, _previews(one)) for one in generations[: -NEWEST - 1 : -1]],
            "generation_count": len(generations),
            "poll_count": sum(one.polls for one in generations) + sum(world.unknown_polls.values()),
            "download_count": sum(one.downloads for one in generations),
            "newest": NEWEST,
        }

    def _troubles(self) -> list[str]:
        """The switches that are on, in words."""
        mailbox, chats = self.parts.mailbox, self.parts.chats
        troubles = [f"{name} answers {outage.trouble.status}" for name, outage in self.parts.world.outages.items()]
        troubles += [f"{FAULTY[side]}: {one.fault}" for side, one in self.parts.world.faults.items()]
        troubles += [f"{one.vendor} answers {one.status}" for one in chats.refusals]
        troubles += [f"mail to {name} is refused" for name in sorted(mailbox.refused)]
        troubles += [f"mail to {name} is put off" for name in sorted(mailbox.deferred)]
        return troubles + (["the mail host is down"] if self.parts.mail_server.down else [])

    def _page(self, request: Request, name: str, values: dict[str, Any]) -> Response:
        content = self.templates.get_template(name).render(values)
        etag = f'"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache", "Content-Security-Policy": POLICY}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return HTMLResponse(content, headers=headers)


def _previews(generation: Generation) -> list[str]:
    """Addresses of the first outputs that the file host gives out."""
    script = generation.script
    if final_stage(script) is not Stage.SUCCEEDED or script.file is not FileBehaviour.OK:
        return []
    return [f"{output_path(script, index)}?preview=1" for index in range(min(script.outputs, PREVIEWED_OUTPUTS))]


def _no_such_mail() -> Response:
    return PlainTextResponse("404: no such mail\n", 404)
