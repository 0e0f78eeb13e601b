"""What becomes of a message: handled, dead with a reason, or again; nothing else, and nothing in a hot loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest
import structlog
from prometheus_client import REGISTRY

from backstop_common.contracts import RunSweep
from backstop_common.errors import ConfigurationError, PermanentError, TransientError
from backstop_common.messaging import Delivery, subscription
from backstop_common.messaging.processing import Again, Dead, Handled, Incoming, process
from backstop_common.observability.tracing import current_traceparent

Handler = Callable[[RunSweep, Delivery], Awaitable[None]]

_TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def _incoming(
    body: str | bytes | None = None,
    *,
    message_id: str | None = "",
    correlation_id: str | None = "run",
    traceparent: str | None = None,
) -> Incoming:
    if body is None:
        body = RunSweep(run_id=uuid4(), bell=0).model_dump_json()
    return Incoming(
        body if isinstance(body, bytes) else body.encode(),
        str(uuid4()) if message_id == "" else message_id,
        correlation_id,
        traceparent,
    )


class Failing:
    """Raises these, one a call, then works."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self, _: RunSweep, __: Delivery) -> None:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)


async def _process(handler: Handler, incoming: Incoming, patience: float = 0.0) -> Handled | Dead | Again:
    return await process(subscription("recovery", RunSweep, handler), incoming, patience_seconds=patience)


async def test_a_handler_that_returns_has_handled_it() -> None:
    seen: list[tuple[RunSweep, Delivery]] = []

    async def handler(message: RunSweep, delivery: Delivery) -> None:
        seen.append((message, delivery))

    run, message_id = uuid4(), uuid4()
    body = RunSweep(run_id=run, bell=3).model_dump_json()
    assert await _process(handler, _incoming(body, message_id=str(message_id))) == Handled()
    assert seen == [(RunSweep(run_id=run, bell=3), Delivery("recovery.run.sweep", message_id, "run"))]


@pytest.mark.parametrize("message_id", [None, "", "42", "not-a-uuid"])
async def test_a_message_without_a_usable_id_is_dead_and_never_handled(message_id: str | None) -> None:
    handler = Failing()
    incoming = _incoming()
    result = await _process(handler, Incoming(incoming.body, message_id, None, None))
    assert isinstance(result, Dead)
    assert result.reason.startswith("malformed: message_id")
    assert handler.calls == 0


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("", "body"),
        ("nonsense", "body"),
        (b"\xff\xfe", "body"),
        ("null", "body"),
        ("[]", "body"),
        ('{"bell": 0}', "run_id"),
        ('{"run_id": "x", "bell": 0}', "run_id"),
        ('{"run_id": "6f0c1f2e-6a55-5d0b-9a38-0b7bb5f0c0de", "bell": -1}', "bell"),
        ("[" * 100_000, "body"),
    ],
)
async def test_a_malformed_body_is_dead_with_the_field_that_is_wrong(body: str | bytes, named: str) -> None:
    handler = Failing()
    result = await _process(handler, _incoming(body))
    assert isinstance(result, Dead)
    assert result.reason.startswith(f"malformed: {named}: ")
    assert handler.calls == 0


async def test_the_reason_of_a_malformed_body_does_not_quote_its_values() -> None:
    result = await _process(Failing(), _incoming('{"run_id": "canary-4711", "bell": "canary-4711"}'))
    assert isinstance(result, Dead)
    assert "canary-4711" not in result.reason


@pytest.mark.parametrize(
    "error", [PermanentError("never"), ValueError("a mistake"), KeyError("x"), ConfigurationError("wrong")]
)
async def test_an_error_that_will_not_pass_is_dead_at_once(error: Exception) -> None:
    handler = Failing(error)
    result = await _process(handler, _incoming(), patience=60)
    assert isinstance(result, Dead)
    assert type(error).__name__ in result.reason
    assert handler.calls == 1


async def test_without_patience_a_transient_error_is_again_at_once() -> None:
    handler = Failing(TransientError("database away", retry_after_seconds=7))
    assert await _process(handler, _incoming(), patience=0) == Again("database away", 7)
    assert handler.calls == 1


async def test_with_patience_a_transient_error_is_waited_out() -> None:
    handler = Failing(TransientError("away"), TransientError("away"))
    assert await _process(handler, _incoming(), patience=30) == Handled()
    assert handler.calls == 3


async def test_patience_ends_and_there_is_no_hot_loop() -> None:
    handler = Failing(*[TransientError("away")] * 1000)
    assert await _process(handler, _incoming(), patience=0.5) == Again("away")
    assert 2 <= handler.calls <= 4


async def test_a_transient_error_that_becomes_permanent_is_dead() -> None:
    handler = Failing(TransientError("away"), PermanentError("gone"))
    assert isinstance(await _process(handler, _incoming(), patience=30), Dead)


async def test_a_cancellation_by_a_driver_is_a_lost_connection() -> None:
    handler = Failing(asyncio.CancelledError())
    result = await _process(handler, _incoming(), patience=0)
    assert isinstance(result, Again)
    assert "connection was lost" in result.reason


async def test_a_cancellation_by_a_driver_is_waited_out() -> None:
    handler = Failing(asyncio.CancelledError())
    assert await _process(handler, _incoming(), patience=30) == Handled()


@pytest.mark.parametrize("during", ["the handler", "the pause"])
async def test_a_real_cancellation_ends_the_processing(during: str) -> None:
    started = asyncio.Event()

    async def handler(_: RunSweep, __: Delivery) -> None:
        started.set()
        if during == "the pause":
            raise TransientError("away")
        await asyncio.Event().wait()

    processing = asyncio.create_task(_process(handler, _incoming(), patience=3600))
    await asyncio.wait_for(started.wait(), 5)
    await asyncio.wait([processing], timeout=0.01)
    processing.cancel()
    await asyncio.wait([processing], timeout=5)
    assert processing.cancelled()


async def test_the_handler_works_inside_the_trace_and_the_log_context_of_its_message() -> None:
    seen: dict[str, object] = {}

    async def handler(_: RunSweep, delivery: Delivery) -> None:
        seen.update(structlog.contextvars.get_contextvars(), trace=current_traceparent(), delivery=delivery)

    message_id = uuid4()
    await _process(handler, _incoming(message_id=str(message_id), traceparent=_TRACE))
    assert seen["trace"] == _TRACE
    assert (seen["queue"], seen["event_id"], seen["correlation_id"]) == ("recovery.run.sweep", str(message_id), "run")
    assert "event_id" not in structlog.contextvars.get_contextvars()
    assert current_traceparent() != _TRACE


@pytest.mark.parametrize(
    ("errors", "body", "result"),
    [
        ((), None, "handled"),
        ((ValueError("x"),), None, "dead"),
        ((TransientError("x"),), None, "again"),
        ((), "", "dead"),
    ],
)
async def test_results_are_counted_by_queue(errors: tuple[Exception, ...], body: str | None, result: str) -> None:
    labels = {"queue": "recovery.run.sweep", "result": result}
    before = REGISTRY.get_sample_value("backstop_messages_handled_total", labels) or 0
    await _process(Failing(*errors), _incoming(body))
    assert REGISTRY.get_sample_value("backstop_messages_handled_total", labels) == before + 1
