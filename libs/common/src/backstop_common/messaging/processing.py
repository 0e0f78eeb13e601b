"""One message through one handler: the only place that decides what becomes of a message.

`Handled`: acknowledge. `Dead`: it can never be handled (malformed, or the handler failed for good): to the dead queue
with the reason. `Again`: the world was not ready (database away) for longer than we wait in place: deliver it later.
Nothing is ever retried in a hot loop and nothing is dropped.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from uuid import UUID

import structlog
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from backstop_common.contracts import Message
from backstop_common.database.refusals import refusal
from backstop_common.errors import TransientError
from backstop_common.messaging.subscription import Delivery, Subscription
from backstop_common.observability.metrics import MESSAGES_HANDLED
from backstop_common.observability.tracing import continued_trace

_log = structlog.get_logger(__name__)

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as it arrived, before anything about it is trusted."""

    body: bytes
    message_id: str | None
    correlation_id: str | None
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Handled:
    """Done, or done before."""


@dataclass(frozen=True, slots=True)
class Dead:
    """No later delivery would end differently."""

    reason: str


@dataclass(frozen=True, slots=True)
class Again:
    """Not now; `reason` is the last error."""

    reason: str
    retry_after_seconds: float | None = None


Result = Handled | Dead | Again


async def process(subscription: Subscription, incoming: Incoming, *, patience_seconds: float) -> Result:
    """Run the handler; wait in place through transient errors for up to `patience_seconds`."""
    queue = subscription.queue.name
    parsed = _parse(subscription, incoming)
    if isinstance(parsed, Dead):
        _log.error("message_malformed", queue=queue, message_id=incoming.message_id, reason=parsed.reason)
        result: Result = parsed
    else:
        message, delivery = parsed
        with (
            continued_trace(incoming.traceparent),
            structlog.contextvars.bound_contextvars(
                queue=queue, event_id=str(delivery.event_id), correlation_id=delivery.correlation_id
            ),
        ):
            result = await _handle(subscription, message, delivery, patience_seconds)
    MESSAGES_HANDLED.labels(queue=queue, result=type(result).__name__.lower()).inc()
    return result


def _parse(subscription: Subscription, incoming: Incoming) -> tuple[Message, Delivery] | Dead:
    try:
        event_id = UUID(incoming.message_id or "")
    except ValueError:
        return Dead(f"malformed: message_id is {incoming.message_id!r}, not a UUID")
    try:
        message = subscription.message.model_validate_json(incoming.body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        return Dead(f"malformed: {field}: {first['msg']} ({error.error_count()} in all)")
    return message, Delivery(subscription.queue.name, event_id, incoming.correlation_id)


async def _handle(subscription: Subscription, message: Message, delivery: Delivery, patience_seconds: float) -> Result:
    give_up_at = asyncio.get_running_loop().time() + patience_seconds
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            await subscription.handler(message, delivery)
        except TransientError as error:
            waiting = Again(str(error), error.retry_after_seconds)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling() > 0:
                raise
            # A driver whose connection died raises CancelledError although nobody cancelled us.
            waiting = Again("a connection was lost while the message was handled")
        except Exception as error:  # noqa: BLE001 - its message goes to the dead queue with this reason
            # A database's own words quote values of rows; of everything else the traceback is worth having.
            _log.error("message_failed", reason=_reason(error), exc_info=not isinstance(error, DBAPIError))
            return Dead(f"handler failed: {_reason(error)}")
        else:
            return Handled()
        if asyncio.get_running_loop().time() + pause > give_up_at:
            _log.warning("message_postponed", reason=waiting.reason)
            return waiting
        _log.warning("message_waits", reason=waiting.reason, pause_seconds=round(pause, 1))
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def _reason(error: Exception) -> str:
    """For the header of a dead letter, where values of rows have no place."""
    return refusal(error) if isinstance(error, DBAPIError) else f"{type(error).__name__}: {error}"
