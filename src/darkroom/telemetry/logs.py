"""Logs: one event a line, with the ids of what it is about; nothing secret, no prompts.

Lines of libraries, which write to the standard library's loggers, come out in the same shape.
"""

import logging
import re
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Literal

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.types import EventDict, Processor, WrappedLogger

from darkroom.telemetry import traces

Style = Literal["auto", "console", "json"]

LONGEST_ID = 100
"""Characters of an id from a request's path that a line repeats: nobody has looked at it yet."""

_PASSWORD = re.compile(r"(://[^/\s\"']*?:)[^/\s\"']+@")

request: ContextVar[Callable[[], Mapping[str, str]] | None] = ContextVar("request", default=None)
"""What tells the ids of the request that is being answered, asked when a line is written: a route makes them known."""


def set_up(*, level: str = "info", style: Style = "auto") -> None:
    """Write events of `level` and above to standard error, as lines for people or as JSON.

    Libraries are heard from `warning` on.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    render = _rendering(style)
    structlog.configure(
        processors=[*_ENRICHING, *render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    _take_over_standard_logging(max(threshold, logging.WARNING), render)


def _rendering(style: Style) -> list[Processor]:
    """From an event to its line."""
    on_terminal = sys.stderr.isatty()
    if style == "console" or (style == "auto" and on_terminal):
        return [_for_people(colors=on_terminal), _without_passwords]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str), _without_passwords]


def _for_people(*, colors: bool) -> structlog.dev.ConsoleRenderer:
    """Lines for a terminal. Tracebacks come without the values of variables: those hold prompts, or secrets."""
    return structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)


def _take_over_standard_logging(threshold: int, render: list[Processor]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        ProcessorFormatter(
            processors=[ProcessorFormatter.remove_processors_meta, *render],
            foreign_pre_chain=[*_ENRICHING, structlog.stdlib.add_logger_name],
        )
    )
    root = logging.getLogger()
    others = [other for other in root.handlers if not isinstance(other.formatter, ProcessorFormatter)]
    root.handlers[:] = [*others, handler]  # in the place of the one before
    root.setLevel(threshold)


def request_id() -> str:
    """The id of the request that is being answered; empty: none is."""
    ids = request.get()
    return ids()["request_id"] if ids else ""


def _with_request(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    ids = request.get()
    if ids is not None:
        for name, value in ids().items():
            event.setdefault(name, value[:LONGEST_ID])
    return event


def _with_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    trace_id = traces.trace_id()
    if trace_id is not None:
        event["trace_id"] = trace_id
    return event


def _without_passwords(_: WrappedLogger, __: str, line: Any) -> Any:
    """The line, with the passwords of addresses in it (a library's own words, a traceback) left out."""
    return _PASSWORD.sub(r"\1***@", line) if "://" in line else line


_ENRICHING: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    _with_request,
    _with_trace,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
