"""The control API: script generations, look at what arrived, turn troubles on, start afresh.

A body that cannot be used is answered 422 with a problem whose detail names the field; nothing of it is applied.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backstop_sandbox.faults.words import Fault
from backstop_sandbox.media import label_of, output
from backstop_sandbox.script import FileBehaviour, Provider, Script, parse_script
from backstop_sandbox.stages import Stage, final_stage, output_path
from backstop_sandbox.web.bodies import json_body, naming_the_field, problem
from backstop_sandbox.web.parts import Parts, origin_of
from backstop_sandbox.web.switches import parse_mail_switches, parse_outage, parse_refusals
from backstop_sandbox.world import Generation

UNREADABLE = frozenset(
    {
        FileBehaviour.MISSING,
        FileBehaviour.FORBIDDEN,
        FileBehaviour.HTML,
        FileBehaviour.TRUNCATED,
        FileBehaviour.PRIVATE_REDIRECT,
    }
)
HARMLESS = frozenset({None, Fault.WRONG_TYPE, Fault.REDIRECT_ELSEWHERE, Fault.FLAPPING})


@dataclass(frozen=True, slots=True)
class ControlRoutes:
    parts: Parts

    def routes(self) -> list[Route]:
        return [
            Route("/control/generations", self.generations, methods=["GET"]),
            Route("/control/generations", naming_the_field(self.register), methods=["POST"]),
            Route("/control/files", self.files, methods=["GET"]),
            Route("/control/providers/{provider}", naming_the_field(self.outage), methods=["PUT", "DELETE"]),
            Route("/control/mails", self.mails, methods=["GET"]),
            Route("/control/mails/{number:int}", self.mail, methods=["GET"]),
            Route("/control/mailbox", self.mailbox, methods=["GET"]),
            Route("/control/mailbox", naming_the_field(self.switch_mailbox), methods=["PUT"]),
            Route("/control/chats", self.chats, methods=["GET"]),
            Route("/control/chats/refusals", naming_the_field(self.refuse_chats), methods=["PUT"]),
            Route("/control/reset", self.reset, methods=["POST"]),
        ]

    async def register(self, request: Request) -> Response:
        """One script or a list; either all are registered or none."""
        raw = await json_body(request)
        scripts = [parse_script(one) for one in (raw if isinstance(raw, list) else [raw])]
        generations = [self.parts.world.register(script).as_json() for script in scripts]
        return JSONResponse({"generations": generations}, HTTPStatus.CREATED)

    async def generations(self, _request: Request) -> Response:
        world = self.parts.world
        generations = [generation.as_json() for generation in world.generations.values()]
        return JSONResponse({"generations": generations, "unknown_polls": world.unknown_polls})

    async def files(self, request: Request) -> Response:
        """What every output must look like once copied; `readable` is false where the file host withholds it."""
        origin = origin_of(request)
        rows = [row for one in self.parts.world.generations.values() for row in _expected(one, origin)]
        return JSONResponse({"files": rows})

    async def outage(self, request: Request) -> Response:
        try:
            provider = Provider(request.path_params["provider"])
        except ValueError:
            return problem(HTTPStatus.NOT_FOUND, f"provider: one of {', '.join(Provider)}")
        if request.method == "DELETE":
            self.parts.world.outages.pop(provider, None)
        else:
            self.parts.world.outages[provider] = parse_outage(await json_body(request))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def mails(self, request: Request) -> Response:
        """All mails, oldest first; `?to=` keeps those with this envelope recipient."""
        to = request.query_params.get("to", "").lower()
        kept = [mail for mail in self.parts.mailbox.mails if not to or to in {one.lower() for one in mail.envelope_to}]
        return JSONResponse({"total": len(kept), "mails": [mail.summary() for mail in kept]})

    async def mail(self, request: Request) -> Response:
        mail = self.parts.mailbox.find(request.path_params["number"])
        if mail is None:
            return problem(HTTPStatus.NOT_FOUND, "number: no such mail")
        return JSONResponse(mail.as_json())

    async def mailbox(self, _request: Request) -> Response:
        mailbox = self.parts.mailbox
        return JSONResponse(
            {
                "refused": sorted(mailbox.refused),
                "deferred": mailbox.deferred,
                "down": self.parts.mail_server.down,
                "total": len(mailbox.mails),
                "smtp_port": self.parts.mail_server.port,
            }
        )

    async def switch_mailbox(self, request: Request) -> Response:
        """Replaces all switches: what is not named is off."""
        switches = parse_mail_switches(await json_body(request))
        self.parts.mailbox.refused = switches.refused
        self.parts.mailbox.deferred = switches.deferred
        await self.parts.mail_server.set_down(switches.down)
        return await self.mailbox(request)

    async def chats(self, _request: Request) -> Response:
        chats = self.parts.chats
        messages = [message.as_json() for message in chats.messages]
        return JSONResponse({"total": len(messages), "turned_away": chats.turned_away, "chats": messages})

    async def refuse_chats(self, request: Request) -> Response:
        """Replaces all refusals; an empty list lifts them."""
        self.parts.chats.refusals = parse_refusals(await json_body(request))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def reset(self, _request: Request) -> Response:
        self.parts.world.clear()
        self.parts.mailbox.clear()
        self.parts.chats.clear()
        self.parts.forget()
        await self.parts.mail_server.set_down(False)
        return Response(status_code=HTTPStatus.NO_CONTENT)


def _expected(generation: Generation, origin: str) -> list[dict[str, Any]]:
    script = generation.script
    if final_stage(script) not in {Stage.SUCCEEDED, Stage.EXPIRED}:
        return []
    rows = []
    for index in range(script.outputs):
        held = output(script.kind, label_of(script, index))
        path = output_path(script, index)
        rows.append(
            {
                "provider": script.provider,
                "id": script.id,
                "index": index,
                "path": path,
                "url": origin + path,
                "sha256": held.sha256,
                "size": len(held.data),
                "media_type": held.media_type,
                "readable": _readable(script),
            }
        )
    return rows


def _readable(script: Script) -> bool:
    """Whether the file host gives the file out, be it after some tries."""
    return script.file not in UNREADABLE and (script.file_fault in HARMLESS or script.fault_times is not None)
