"""The provider APIs over HTTP: who may ask, outages, slow answers; the shapes are in `providers`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backstop_sandbox.faults.playing import faulty
from backstop_sandbox.faults.transport import Sent
from backstop_sandbox.faults.words import Side
from backstop_sandbox.providers import fal, kie, replicate
from backstop_sandbox.script import Behaviour, Provider
from backstop_sandbox.stages import Answer, Stage, Trouble, View, trouble_at
from backstop_sandbox.web.parts import Parts, origin_of, path_of

UNAUTHORIZED = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one provider says the things that every provider says."""

    provider: Provider
    scheme: str
    missing_credentials: Callable[[], Answer]
    unknown: Callable[[], Answer]
    trouble: Callable[[Trouble], Answer]
    task: Callable[[View], Answer]


REPLICATE = Dialect(
    Provider.REPLICATE,
    "Bearer",
    replicate.missing_credentials,
    replicate.unknown,
    replicate.trouble,
    replicate.prediction,
)
FAL = Dialect(Provider.FAL, "Key", fal.missing_credentials, fal.unknown, fal.trouble, fal.request_status)
KIE = Dialect(Provider.KIE, "Bearer", kie.missing_credentials, kie.unknown, kie.trouble, kie.record_info)


@dataclass(frozen=True, slots=True)
class ProviderRoutes:
    parts: Parts

    def routes(self) -> list[Route]:
        return [
            Route("/replicate/v1/predictions/{id}", self.replicate),
            Route("/fal/{app:path}/requests/{id}/status", self.fal_status),
            Route("/fal/{app:path}/requests/{id}", self.fal_result),
            Route("/kie/api/v1/jobs/recordInfo", self.kie),
        ]

    async def replicate(self, request: Request) -> Response:
        return await self._poll(request, REPLICATE, request.path_params["id"])

    async def kie(self, request: Request) -> Response:
        return await self._poll(request, KIE, request.query_params.get("taskId", ""))

    async def fal_status(self, request: Request) -> Response:
        if self._is_of_another_app(request):
            return _response(FAL.unknown())
        return await self._poll(request, FAL, request.path_params["id"])

    async def fal_result(self, request: Request) -> Response:
        refusal = self._refusal(request, FAL)
        if refusal is not None:
            return _response(refusal)
        view = self.parts.world.result(Provider.FAL, request.path_params["id"], origin_of(request))
        if view is None or view.stage is Stage.UNKNOWN or self._is_of_another_app(request):
            return _response(FAL.unknown())
        if view.stage is Stage.TROUBLE:
            return _response(FAL.trouble(trouble_at(view.script, view.poll)))
        return self._with_faults(request, view, _response(fal.request_result(view)))

    async def _poll(self, request: Request, dialect: Dialect, task: str) -> Response:
        refusal = self._refusal(request, dialect)
        if refusal is not None:
            return _response(refusal)
        view = self.parts.world.poll(dialect.provider, task, origin_of(request))
        if view is None or view.stage is Stage.UNKNOWN:
            return _response(dialect.unknown())
        if view.stage is Stage.TROUBLE:
            return _response(dialect.trouble(trouble_at(view.script, view.poll)))
        if view.script.behaviour is Behaviour.SLOW and await self._stopped_within(view.script.delay_seconds):
            return _response(dialect.trouble(Trouble(503)))
        return self._with_faults(request, view, _response(dialect.task(view)))

    def _with_faults(self, request: Request, view: View, honest: Response) -> Response:
        """The honest answer, or what the fault of this generation or of the whole world makes of it."""
        world = self.parts.world
        fault = world.fault_of(Side.API, world.generations[view.script.provider, view.script.id])
        if fault is None:
            return honest
        sent = Sent(bytes(honest.body), "application/json")
        answer = faulty(
            fault,
            sent,
            connections=self.parts.connections,
            origin=origin_of(request),
            path=path_of(request),
            turn=view.poll,
            now=view.now,
        )
        return answer or honest

    def _refusal(self, request: Request, dialect: Dialect) -> Answer | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != dialect.scheme.lower() or not token.strip():
            return dialect.missing_credentials()
        trouble = self.parts.world.trouble_of(dialect.provider)
        if trouble is None:
            return None
        return dialect.missing_credentials() if trouble.status in UNAUTHORIZED else dialect.trouble(trouble)

    def _is_of_another_app(self, request: Request) -> bool:
        known = self.parts.world.generations.get((Provider.FAL, request.path_params["id"]))
        return known is not None and known.script.app != request.path_params["app"]

    async def _stopped_within(self, seconds: float) -> bool:
        """Hold the answer back, but not a stop of the sandbox."""
        try:
            await asyncio.wait_for(self.parts.stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True


def _response(answer: Answer) -> Response:
    return JSONResponse(answer.body, answer.status, answer.headers)
