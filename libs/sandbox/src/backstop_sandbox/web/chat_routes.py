"""The chat webhooks: accepted as the vendor would, refused in the vendor's words."""

import json
import math
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from backstop_sandbox.chat.discord import UNKNOWN_WEBHOOK, discord_problem
from backstop_sandbox.chat.room import Refusal, Vendor
from backstop_sandbox.chat.slack import slack_problem
from backstop_sandbox.web.parts import Parts

NOT_FOUND = 404
TOO_MANY_REQUESTS = 429
SLACK_WORDS = {NOT_FOUND: "no_service", 403: "action_prohibited", 410: "channel_is_archived", 500: "rollup_error"}


@dataclass(frozen=True, slots=True)
class ChatRoutes:
    parts: Parts

    def routes(self) -> list[Route]:
        return [
            Route("/hooks/slack/{channel:path}", self.slack, methods=["POST"]),
            Route("/hooks/discord/{channel:path}", self.discord, methods=["POST"]),
        ]

    async def slack(self, request: Request) -> Response:
        chats, channel = self.parts.chats, request.path_params["channel"]
        refusal = chats.refusal(Vendor.SLACK, channel)
        body = await _json(request)
        problem = None if refusal else slack_problem(body)
        if refusal or problem:
            chats.turned_away += 1
            return _slack_refusal(refusal) if refusal else PlainTextResponse(problem or "", 400)
        chats.post(Vendor.SLACK, channel, body)
        return PlainTextResponse("ok")

    async def discord(self, request: Request) -> Response:
        chats, channel = self.parts.chats, request.path_params["channel"]
        refusal = chats.refusal(Vendor.DISCORD, channel)
        body = await _json(request)
        problem = None if refusal else discord_problem(body)
        if refusal or problem:
            chats.turned_away += 1
            return _discord_refusal(refusal) if refusal else JSONResponse(problem, 400)
        message = chats.post(Vendor.DISCORD, channel, body)
        if request.query_params.get("wait") == "true":
            return JSONResponse({"id": str(message.number), "channel_id": channel} | body)
        return Response(status_code=204)


async def _json(request: Request) -> Any:
    """The body, or None when it is no JSON; each vendor has its own words for that."""
    try:
        return json.loads(await request.body())
    except ValueError:
        return None


def _slack_refusal(refusal: Refusal) -> Response:
    if refusal.status == TOO_MANY_REQUESTS:
        headers = {"Retry-After": str(math.ceil(refusal.retry_after_seconds))}
        return PlainTextResponse("rate_limited", TOO_MANY_REQUESTS, headers)
    return PlainTextResponse(SLACK_WORDS.get(refusal.status, "server_error"), refusal.status)


def _discord_refusal(refusal: Refusal) -> Response:
    if refusal.status == TOO_MANY_REQUESTS:
        seconds = refusal.retry_after_seconds
        headers = {"Retry-After": str(math.ceil(seconds)), "X-RateLimit-Reset-After": str(seconds)}
        body = {"message": "You are being rate limited.", "retry_after": seconds, "global": False}
        return JSONResponse(body, TOO_MANY_REQUESTS, headers)
    if refusal.status == NOT_FOUND:
        return JSONResponse(UNKNOWN_WEBHOOK, NOT_FOUND)
    return JSONResponse(
        {"message": f"{refusal.status}: the sandbox was told to answer this", "code": 0}, refusal.status
    )
