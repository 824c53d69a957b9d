"""Logs, set up once. One event a line, with the ids of what it is about; nothing secret, no prompts."""

import logging
import sys
from typing import Literal

import structlog

Style = Literal["auto", "console", "json"]


def _for_people(*, colors: bool) -> structlog.dev.ConsoleRenderer:
    """Lines for a terminal. Tracebacks come without the values of variables: those hold prompts, or secrets."""
    return structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)


def set_up(*, level: str = "info", style: Style = "auto") -> None:
    """Write events of `level` and above to standard error, as lines for people or as JSON."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    on_terminal = sys.stderr.isatty()
    pretty = style == "console" or (style == "auto" and on_terminal)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if pretty else [structlog.processors.format_exc_info]),
            _for_people(colors=on_terminal) if pretty else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=max(threshold, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )
