"""The control API of the hostile world: faults of all providers or of the whole file host, and who was led astray."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backstop_sandbox.faults.words import FAULTS_OF, Side
from backstop_sandbox.web.bodies import json_body, naming_the_field
from backstop_sandbox.web.parts import Parts
from backstop_sandbox.web.switches import parse_faults


@dataclass(frozen=True, slots=True)
class FaultRoutes:
    parts: Parts

    def routes(self) -> list[Route]:
        return [
            Route("/control/faults", self.faults, methods=["GET"]),
            Route("/control/faults", naming_the_field(self.switch_faults), methods=["PUT"]),
            Route("/control/visits", self.visits, methods=["GET"]),
        ]

    async def faults(self, _request: Request) -> Response:
        """What is on, and every word there is."""
        on = {side.value: {"fault": one.fault, "times": one.times} for side, one in self.parts.world.faults.items()}
        return JSONResponse({"on": on, "known": {side.value: sorted(FAULTS_OF[side]) for side in Side}})

    async def switch_faults(self, request: Request) -> Response:
        """Replaces both sides: what is not named is off."""
        self.parts.world.faults = parse_faults(await json_body(request))
        return await self.faults(request)

    async def visits(self, _request: Request) -> Response:
        return JSONResponse({"visits": self.parts.world.visits.as_json()})
