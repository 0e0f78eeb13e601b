"""Where providers send their webhooks: to be heard quickly, answered in few words, and believed in nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from backstop_admin_api.application import webhook_outcomes as outcomes
from backstop_admin_api.application.metrics import observe_webhook
from backstop_admin_api.application.webhook_outcomes import IncomingWebhook
from backstop_admin_api.entrypoints.context import AdminApi, Context
from backstop_admin_api.entrypoints.problems import ProblemError
from backstop_admin_api.entrypoints.shapes import Problem

PREFIX = "/webhooks/"
LARGEST_BODY_BYTES = 256 * 1024
_LONGEST_LENGTH = 20
_RETRY_SECONDS = 60

_RESULTS: Mapping[type[outcomes.Outcome], str] = {
    outcomes.Accepted: "accepted",
    outcomes.StillRunning: "still_running",
    outcomes.Duplicate: "duplicate",
    outcomes.UnknownTask: "unknown_task",
    outcomes.Unverified: "unverified",
    outcomes.Malformed: "malformed",
    outcomes.NotReady: "not_ready",
    outcomes.Challenged: "challenged",
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    200: {"description": "This webhook was accepted before; or the answer to a challenge."},
    400: {"model": Problem, "description": "It is signed, and no JSON object."},
    401: {"model": Problem, "description": "The signature, its moment or the task's address is wrong."},
    404: {"model": Problem, "description": "Nobody takes webhooks at this address."},
    413: {"model": Problem, "description": "It has more than 256 KiB."},
    503: {"model": Problem, "description": "It cannot be verified yet; send it again."},
}

router = APIRouter(tags=["webhooks"], responses=_REFUSALS)


@router.post("/webhooks/{provider}", status_code=202)
async def take_signed_webhook(request: Request, context: Context, provider: str) -> JSONResponse:
    """The webhook of a provider that signs. It makes Backstop ask the provider about the task, nothing else."""
    webhook = await _incoming(request, context, provider)
    return _answer(provider, await context.accept_webhook.signed(provider, webhook))


@router.post("/webhooks/{provider}/{token}", status_code=202)
async def take_webhook_of_task(request: Request, context: Context, provider: str, token: str) -> JSONResponse:
    """A webhook at the address that `POST /api/tasks` gave for one task (`webhookUrl`)."""
    webhook = await _incoming(request, context, provider)
    return _answer(provider, await context.accept_webhook.at_own_address(provider, token, webhook))


async def _incoming(request: Request, context: AdminApi, provider: str) -> IncomingWebhook:
    """The bytes as they were sent. A header that came twice is joined by a blank."""
    if not context.accept_webhook.knows(provider):
        raise ProblemError(404, "There is no provider of this name; docs/webhooks.md lists the addresses.")
    headers: dict[str, bytes] = {}
    for raw_name, value in request.scope["headers"]:
        name = raw_name.decode("latin-1").lower()
        headers[name] = f"{headers[name].decode('latin-1')} ".encode("latin-1") + value if name in headers else value
    return IncomingWebhook(headers, await _body(request, provider))


async def _body(request: Request, provider: str) -> bytes:
    body = bytearray()
    if not _says_too_large(request.headers.get("content-length", "")):
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST_BODY_BYTES:
                    break
            else:
                return bytes(body)
        except ClientDisconnect:
            raise ProblemError(400, "The connection ended before the webhook did.") from None
    observe_webhook(provider, "too_large")
    raise ProblemError(413, "A webhook has at most 256 KiB.")


def _says_too_large(declared: str) -> bool:
    return declared.isdecimal() and int(declared[:_LONGEST_LENGTH]) > LARGEST_BODY_BYTES


def _answer(provider: str, outcome: outcomes.Outcome) -> JSONResponse:
    """The same words for tasks that we know and that we do not: an answer tells nobody which ids exist."""
    if type(outcome) in _RESULTS:
        observe_webhook(provider, _RESULTS[type(outcome)])
    match outcome:
        case outcomes.Accepted() | outcomes.StillRunning() | outcomes.UnknownTask():
            return _json(202, {"status": "accepted"})
        case outcomes.Duplicate():
            return _json(200, {"status": "accepted before"})
        case outcomes.Challenged(value=value):
            return _json(200, {"challenge": value})
        case outcomes.Unverified(reason=reason):
            raise ProblemError(401, f"This webhook is not verified: {reason}.")
        case outcomes.Malformed():
            raise ProblemError(400, "A webhook is a JSON object.")
        case outcomes.NotReady(reason=reason):
            detail = f"Webhooks of {provider} cannot be verified: {reason}. Send it again later."
            raise ProblemError(503, detail, headers={"Retry-After": str(_RETRY_SECONDS)})
        case outcomes.NoSuchAddress(reason=reason):
            raise ProblemError(404, f"{reason[:1].upper()}{reason[1:]}.")
        case _:
            assert_never(outcome)


def _json(status: int, body: Mapping[str, str]) -> JSONResponse:
    return JSONResponse(dict(body), status_code=status, headers={"Cache-Control": "no-store"})
