"""`/elsewhere`: where hostile redirects lead. Every visit is remembered; what it answers must never be believed.

A file comes as it is, so that a redirect to another allowed host can end well; everything else is a lie: "failed".
"""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backstop_sandbox.media import label_of, output
from backstop_sandbox.visits import Visit
from backstop_sandbox.web.file_routes import exists, served
from backstop_sandbox.web.parts import Parts, path_of

LIE = {"status": "failed", "code": 501, "data": {"state": "fail", "failMsg": "a lie"}, "error": "a lie"}


@dataclass(frozen=True, slots=True)
class ElsewhereRoutes:
    parts: Parts

    def routes(self) -> list[Route]:
        return [
            Route("/elsewhere/files/{key}/{index:int}.{extension}", self.file),
            Route("/elsewhere/{path:path}", self.lie),
        ]

    async def file(self, request: Request) -> Response:
        self._remember(request)
        generation = self.parts.world.by_key.get(request.path_params["key"])
        index = request.path_params["index"]
        if generation is None or not exists(generation, index, request.path_params["extension"]):
            return JSONResponse(LIE)
        return served(request, output(generation.script.kind, label_of(generation.script, index)))

    async def lie(self, request: Request) -> Response:
        self._remember(request)
        return JSONResponse(LIE)

    def _remember(self, request: Request) -> None:
        headers = dict(request.headers.items())
        self.parts.world.visits.add(Visit(headers.get("host", ""), path_of(request), headers))
