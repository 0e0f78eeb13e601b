"""Pages from templates: everything escaped, a missing name is an error, fragments answer 304 while nothing changed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from backstop_admin_api.entrypoints import wording

PACKAGE = Path(__file__).resolve().parents[1]
STATIC = PACKAGE / "static"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(PACKAGE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": wording.duration_text,
        "count": wording.count_text,
        "percent": wording.percent_text,
        "moment": wording.moment_text,
        "iso": wording.moment_iso,
        "outcome": wording.outcome_text,
    }
    environment.globals |= {"trigger_text": wording.trigger_text, "settlement_text": wording.settlement_text}
    return environment


def _static_version() -> str:
    digest = hashlib.sha256()
    for path in sorted(STATIC.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Pages:
    """All pages of one installation."""

    brand_name: str
    app_base_url: str
    environment: Environment
    static_version: str

    @classmethod
    def of(cls, *, brand_name: str, app_base_url: str) -> Pages:
        """Read the templates that are in the package."""
        return cls(brand_name, app_base_url, _environment(), _static_version())

    def page(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """A whole page; never kept by the browser, for it is behind a login."""
        return HTMLResponse(self._render(template, context), status_code=status, headers={"Cache-Control": "no-store"})

    def fragment(self, request: Request, template: str, **context: Any) -> Response:
        """A part of a page, by its content: the same content again is a 304."""
        body = self._render(template, context)
        etag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
        headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return HTMLResponse(body, headers=headers)

    def problem(self, request: Request, *, status: int, title: str, detail: str) -> Response:
        """What went wrong, for a person."""
        session = request.app.state.admin_api.sessions.of(request)
        return self.page("problem.html", status=status, title=title, detail=detail, code=status, session=session)

    def _render(self, template: str, context: dict[str, Any]) -> str:
        return self.environment.get_template(template).render(
            brand=self.brand_name, static_version=self.static_version, **context
        )
