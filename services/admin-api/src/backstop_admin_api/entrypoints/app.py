"""The HTTP application: routes, errors, headers, probes. Built once, from values that are passed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response
from starlette.types import ASGIApp, Scope

from backstop_admin_api.entrypoints import (
    admin_routes,
    cron_routes,
    hold_pages,
    hold_routes,
    login_routes,
    page_routes,
    task_action_routes,
    task_routes,
    user_routes,
    webhook_routes,
)
from backstop_admin_api.entrypoints.authentication import LoginRequiredError
from backstop_admin_api.entrypoints.body_limit import BodyLimit
from backstop_admin_api.entrypoints.context import AdminApi
from backstop_admin_api.entrypoints.headers import SecurityHeaders
from backstop_admin_api.entrypoints.problems import install_problems
from backstop_admin_api.entrypoints.rendering import STATIC
from backstop_common.loop import Loop
from backstop_common.observability.probes import Check, probe_routes

_LARGEST_BODY_BYTES = 64 * 1024
_DAY = 86_400


class _Static(StaticFiles):
    """Files of the package; their addresses carry a version, so they may be kept."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = f"public, max-age={_DAY}"
        return response


def create_app(context: AdminApi, *, loops: Sequence[Loop], checks: Mapping[str, Check]) -> ASGIApp:
    """The application. There is no page for the OpenAPI document: FastAPI's own load scripts from elsewhere."""
    app = FastAPI(
        title=f"{context.pages.brand_name} admin API",
        version="0.1.0",
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.admin_api = context
    install_problems(app, login_required=LoginRequiredError)
    for routes in (cron_routes, admin_routes, user_routes, task_routes, task_action_routes, login_routes, page_routes):
        app.include_router(routes.router)
    app.include_router(webhook_routes.router)
    app.include_router(hold_routes.router)
    app.include_router(hold_pages.router)
    app.router.routes.extend(probe_routes(loops=lambda: loops, checks=checks))
    app.mount("/static", _Static(directory=STATIC))
    limited = BodyLimit(app, limit_bytes=_LARGEST_BODY_BYTES, except_below=webhook_routes.PREFIX)
    return SecurityHeaders(limited, is_https=context.sessions.is_https)
