"""`/livez`, `/readyz` and `/metrics`, the same on every service.

Live: every background loop still turns. Ready: every dependency answers now. Both tell in JSON what is wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backstop_common.loop import Loop

Check = Callable[[], Awaitable[str | None]]
"""Answers None when all is well, else one sentence that says what is not."""

_CHECK_TIMEOUT_SECONDS = 3.0
_CHECK_AGAIN_SECONDS = 5.0


def probe_routes(*, loops: Callable[[], Sequence[Loop]], checks: Mapping[str, Check]) -> list[Route]:
    """The three routes, for a service of its own or to be mounted in a bigger application."""

    async def livez(_: Request) -> Response:
        silent = [loop.name for loop in loops() if loop.is_silent]
        return JSONResponse(
            {"status": "stuck" if silent else "ok", "silentLoops": silent}, status_code=503 if silent else 200
        )

    async def readyz(_: Request) -> Response:
        problems = dict(zip(checks, await asyncio.gather(*(_answer(check) for check in checks.values())), strict=True))
        ready = not any(problems.values())
        return JSONResponse(
            {
                "status": "ok" if ready else "not ready",
                "checks": {name: problem or "ok" for name, problem in problems.items()},
            },
            status_code=200 if ready else 503,
        )

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]


def rarely(check: Check, *, seconds: float) -> Check:
    """A check that leaves traces or costs money: its answer stands for a while, a bad one only for a moment."""
    last: str | None = None
    valid_until = 0.0

    async def answer() -> str | None:
        nonlocal last, valid_until
        now = asyncio.get_running_loop().time()
        if now >= valid_until:
            last = await check()
            valid_until = now + (seconds if last is None else min(seconds, _CHECK_AGAIN_SECONDS))
        return last

    return answer


async def _answer(check: Check) -> str | None:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_SECONDS):
            return await check()
    except TimeoutError:
        return f"no answer within {_CHECK_TIMEOUT_SECONDS:.0f} s"
    except Exception as error:  # noqa: BLE001 - whatever a dependency raises, the probe's answer is "not ready"
        return f"{type(error).__name__}: {error}"
