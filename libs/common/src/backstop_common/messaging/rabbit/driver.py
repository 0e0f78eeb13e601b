"""What the driver raises, in our two roots."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aio_pika.exceptions import AMQPError, DeliveryError

from backstop_common.errors import TransientError


@asynccontextmanager
async def driver_errors(*, timeout_seconds: float) -> AsyncIterator[None]:
    """Bound a conversation with the broker in time, and translate what the driver raises.

    A CancelledError that nobody asked for means that the connection died.

    Raises:
        TransientError: no answer in time, no connection, or a message that came back.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            yield
    except DeliveryError as error:
        raise TransientError(f"RabbitMQ returned the message: {error}") from error
    except TimeoutError as error:
        raise TransientError(f"RabbitMQ did not answer within {timeout_seconds:.0f} s") from error
    except (AMQPError, ConnectionError, RuntimeError, OSError) as error:
        raise TransientError(f"RabbitMQ is not reachable: {type(error).__name__}") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling() > 0:
            raise
        raise TransientError("the connection to RabbitMQ was lost") from error
