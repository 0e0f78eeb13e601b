"""The file host of the providers: outputs with ranges and entity tags, or what a script makes of them.

`?preview=1` is for the sandbox's own page and is not counted as a download.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from backstop_sandbox.byte_ranges import Unsatisfiable, requested_part
from backstop_sandbox.faults.playing import faulty
from backstop_sandbox.faults.redirects import OTHER_NAME
from backstop_sandbox.faults.transport import Sent
from backstop_sandbox.faults.words import Side
from backstop_sandbox.media import Output, label_of, output
from backstop_sandbox.script import FileBehaviour
from backstop_sandbox.stages import Stage, final_stage
from backstop_sandbox.web.parts import Parts, origin_of, path_of
from backstop_sandbox.world import Generation

CREDENTIALS = ("authorization", "cookie", "x-api-key", "x-key", "x-goog-api-key")
WITH_FILES = frozenset({Stage.SUCCEEDED, Stage.EXPIRED, Stage.RUNNING})
CLOSED_PORT = "http://127.0.0.1:1/internal"
STALE_SIGNATURE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
)


@dataclass(frozen=True, slots=True)
class FileRoutes:
    parts: Parts

    def routes(self) -> list[Route]:
        return [Route("/files/{key}/{index:int}.{extension}", self.file)]

    async def file(self, request: Request) -> Response:
        generation = self.parts.world.by_key.get(request.path_params["key"])
        index = request.path_params["index"]
        if generation is None or not exists(generation, index, request.path_params["extension"]):
            return _missing()
        held = output(generation.script.kind, label_of(generation.script, index))
        if "preview" in request.query_params:
            return _misbehaving(request, generation, held) or served(request, held)
        leaked = any(request.headers.get(name) for name in CREDENTIALS)
        self.parts.world.downloaded(generation, with_credentials=leaked)
        return (
            self._faulty(request, generation, held) or _misbehaving(request, generation, held) or served(request, held)
        )

    def _faulty(self, request: Request, generation: Generation, held: Output) -> Response | None:
        world = self.parts.world
        fault = world.fault_of(Side.FILE, generation)
        if fault is None:
            return None
        return faulty(
            fault,
            Sent(held.data, held.media_type),
            connections=self.parts.connections,
            origin=origin_of(request),
            path=path_of(request),
            turn=generation.downloads,
            now=world.now(),
        )


def exists(generation: Generation, index: int, extension: str) -> bool:
    script = generation.script
    return final_stage(script) in WITH_FILES and index < script.outputs and extension == script.extension


def _missing() -> Response:
    return PlainTextResponse("404: this file does not exist or has expired\n", 404)


def _misbehaving(request: Request, generation: Generation, held: Output) -> Response | None:  # noqa: PLR0911 - one line per case
    match generation.script.file:
        case FileBehaviour.MISSING:
            return _missing()
        case FileBehaviour.FORBIDDEN:
            return Response(STALE_SIGNATURE, 403, media_type="application/xml")
        case FileBehaviour.HTML:
            return HTMLResponse("<!doctype html><title>Expired</title><p>This link has expired.</p>")
        case FileBehaviour.UNSIZED:
            return StreamingResponse(_pieces(held.data), media_type=held.media_type)
        case FileBehaviour.TRUNCATED:
            return Truncated(held.data, media_type=held.media_type)
        case FileBehaviour.WRONG_TYPE:
            return Response(held.data, media_type="application/octet-stream")
        case FileBehaviour.REDIRECT if "direct" not in request.query_params:
            return RedirectResponse(_other_origin(request), 302)
        case FileBehaviour.PRIVATE_REDIRECT:
            return RedirectResponse(CLOSED_PORT, 302)
        case FileBehaviour.THROTTLED if generation.downloads <= 1:
            return PlainTextResponse("429: slow down\n", 429, {"Retry-After": "1"})
        case _:
            return None


def served(request: Request, held: Output) -> Response:
    """The whole file, the part the Range header asks for, or 304."""
    headers = {"ETag": held.etag, "Accept-Ranges": "bytes", "Cache-Control": "public, max-age=3600"}
    if request.headers.get("if-none-match") == held.etag:
        return Response(status_code=304, headers=headers)
    wanted = request.headers.get("range")
    if request.headers.get("if-range") not in {None, held.etag}:
        wanted = None
    size = len(held.data)
    part = requested_part(wanted, size)
    if isinstance(part, Unsatisfiable):
        return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{size}"})
    if part is None:
        return Response(held.data, media_type=held.media_type, headers=headers)
    headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size}"
    return Response(held.data[part.start : part.end], 206, headers, held.media_type)


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 1024):
        yield data[start : start + 1024]


def _other_origin(request: Request) -> str:
    """The same file under the loopback address's other name."""
    host = request.url.hostname or ""
    address = request.url.include_query_params(direct="1")
    return str(address.replace(hostname=OTHER_NAME.get(host, host)))


class Truncated(Response):
    """Announces the whole file, sends half of it and hangs up."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
