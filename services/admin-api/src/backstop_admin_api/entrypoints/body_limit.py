"""Request bodies have an end: nobody fills our memory."""

from __future__ import annotations

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backstop_admin_api.entrypoints.problems import ProblemError, problem_document


class BodyLimit:
    """Refuses a body that says it is too large at once, and one that turns out to be while it is read.

    What is below `except_below` counts for itself.
    """

    def __init__(self, app: ASGIApp, *, limit_bytes: int, except_below: str) -> None:
        self._app = app
        self._limit = limit_bytes
        self._except_below = except_below

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body counted."""
        if scope["type"] == "http" and scope["path"].startswith(self._except_below):
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0") if scope["type"] == "http" else "0"
        if declared.isdecimal() and int(declared) > self._limit:
            await problem_document(ProblemError(413, "The request is too large."))(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise HTTPException(413)
            return message

        await self._app(scope, counted, send)
