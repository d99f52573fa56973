"""Structured logs: an event name and fields, one JSON object per line on standard error, never a secret."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog

Level = Literal["debug", "info", "warning", "error"]
LEVELS: dict[Level, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure(service: str, level: Level, form: Literal["json", "console"]) -> None:
    """Send every log line of this process to standard error in one form, with the service's name."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    shared_processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared_processors, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared_processors,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(_is_news)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(LEVELS[level])
    # Libraries talk at info level of every request and fetch; ours say what changed.
    for chatty in ("uvicorn.access", "httpx", "httpcore", "nats", "faststream"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(service=service)


def _is_news(record: logging.LogRecord) -> bool:
    # nats-py starts TLS in a way of which asyncio complains whenever the bus ends a connection, twice a second while it
    # refuses us; what is lost and why is told by our own lines.
    return not (record.name == "asyncio" and "eof_received() has no effect" in str(record.msg))


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger for a module."""
    bound: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return bound
