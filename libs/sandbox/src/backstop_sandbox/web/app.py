"""All routes of the sandbox as one Starlette application."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from backstop_sandbox.web.chat_routes import ChatRoutes
from backstop_sandbox.web.control_routes import ControlRoutes
from backstop_sandbox.web.elsewhere_routes import ElsewhereRoutes
from backstop_sandbox.web.fault_routes import FaultRoutes
from backstop_sandbox.web.file_routes import FileRoutes
from backstop_sandbox.web.key_routes import key_routes
from backstop_sandbox.web.pages import Pages
from backstop_sandbox.web.parts import Parts
from backstop_sandbox.web.provider_routes import ProviderRoutes


def build_app(parts: Parts, assets_dir: Path | None) -> Starlette:
    routes: list[BaseRoute] = [
        Route("/livez", _alive),
        Route("/readyz", _alive),
        *ProviderRoutes(parts).routes(),
        *key_routes(),
        *FileRoutes(parts).routes(),
        *ElsewhereRoutes(parts).routes(),
        *ChatRoutes(parts).routes(),
        *ControlRoutes(parts).routes(),
        *FaultRoutes(parts).routes(),
        *Pages(parts).routes(),
    ]
    if assets_dir is not None:
        routes.append(Mount("/assets", Bucket(assets_dir)))
    return Starlette(routes=routes)


async def _alive(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


class Bucket:
    """The public face of the app's own bucket; empty as long as its folder does not exist."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = StaticFiles(directory=folder, check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._folder.is_dir():
            raise HTTPException(404)
        await self._files(scope, receive, send)
