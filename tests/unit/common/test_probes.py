"""Live while the loops turn, ready while every dependency answers; both say what is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response

from backstop_common.loop import Loop
from backstop_common.observability.probes import Check, probe_routes, rarely


async def _turn() -> bool:
    return False


class _Silent(Loop):
    is_silent = True


async def _answer(path: str, *, loops: Sequence[Loop] = (), checks: Mapping[str, Check] | None = None) -> Response:
    routes = {route.path: route for route in probe_routes(loops=lambda: loops, checks=checks or {})}
    response = await routes[path].endpoint(Request({"type": "http", "method": "GET", "path": path, "headers": []}))
    assert isinstance(response, Response)
    return response


async def _fine() -> str | None:
    return None


async def _away() -> str | None:
    return "RabbitMQ is not connected"


async def _broken() -> str | None:
    raise ConnectionRefusedError(111, "Connection refused")


async def test_live_while_every_loop_turns() -> None:
    response = await _answer("/livez", loops=[Loop("relay", _turn, interval_seconds=1)])
    assert response.status_code == 200


async def test_a_silent_loop_is_named_and_not_live() -> None:
    loops = [Loop("relay", _turn, interval_seconds=1), _Silent("sweep", _turn, interval_seconds=1)]
    response = await _answer("/livez", loops=loops)
    assert response.status_code == 503
    assert json.loads(bytes(response.body)) == {"status": "stuck", "silentLoops": ["sweep"]}


async def test_ready_when_every_check_is_fine() -> None:
    response = await _answer("/readyz", checks={"database": _fine, "broker": _fine})
    assert response.status_code == 200
    assert json.loads(bytes(response.body))["checks"] == {"database": "ok", "broker": "ok"}


async def test_each_problem_is_told_beside_what_is_fine() -> None:
    response = await _answer("/readyz", checks={"database": _broken, "broker": _away, "assets": _fine})
    assert response.status_code == 503
    checks = json.loads(bytes(response.body))["checks"]
    assert checks["broker"] == "RabbitMQ is not connected"
    assert checks["database"].startswith("ConnectionRefusedError")
    assert checks["assets"] == "ok"


async def test_metrics_are_in_the_format_of_prometheus() -> None:
    response = await _answer("/metrics")
    assert response.media_type is not None
    assert response.media_type.startswith("text/plain")
    assert b"backstop_outbox_pending" in bytes(response.body)


async def test_a_check_that_costs_money_is_made_rarely() -> None:
    made = 0

    async def costly() -> str | None:
        nonlocal made
        made += 1
        return None

    check = rarely(costly, seconds=3600)
    assert [await check() for _ in range(5)] == [None] * 5
    assert made == 1


async def test_a_bad_answer_stands_only_for_a_moment() -> None:
    answers = ["the store is away", None]

    async def costly() -> str | None:
        return answers.pop(0)

    check = rarely(costly, seconds=0)
    assert [await check(), await check()] == ["the store is away", None]
