"""Traces: spans from the request, over the row of its media, to the call of the provider.

All of this does nothing, and imports nothing, unless `exporting` is open with an address.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Literal

from darkroom.settings import SettingsError

if TYPE_CHECKING:
    from darkroom.telemetry.otlp import Tracing

Kind = Literal["internal", "server", "client", "consumer"]
Attribute = str | int | float | bool | None

_tracing: "Tracing | None" = None
_NOTHING = nullcontext()


@asynccontextmanager
async def exporting(url: str | None, *, ratio: float = 1.0) -> AsyncIterator[None]:
    """Send spans to the collector at `url` (OTLP over HTTP) while the context is open; None: make none.

    `ratio`: share of the traces kept, where the caller did not decide. What is left at the end gets two seconds.
    Raises `SettingsError` if OpenTelemetry is not installed.
    """
    global _tracing
    if url is None:
        yield
        return
    before, tracing = _tracing, _opened(url, ratio)
    _tracing = tracing
    try:
        yield
    finally:
        _tracing = before
        await asyncio.to_thread(tracing.close)


def _opened(url: str, ratio: float) -> "Tracing":
    try:
        from darkroom.telemetry.otlp import Tracing
    except ModuleNotFoundError as error:
        raise SettingsError("DARKROOM_TRACES_URL needs OpenTelemetry: pip install 'darkroom[traces]'") from error
    return Tracing(url, ratio)


def span(
    name: str, kind: Kind = "internal", parent: str | None = None, **attributes: Attribute
) -> AbstractContextManager[object]:
    """A span around the context, below the one that is open or, if given, below the traceparent `parent`.

    Attributes that are None are left out. An exception marks it as failed, by its type alone: what an error says may
    hold what a caller wrote.
    """
    return _NOTHING if _tracing is None else _tracing.span(name, kind, parent, attributes)


def note(*, name: str | None = None, failed: str | None = None, **attributes: Attribute) -> None:
    """Add attributes to the open span; rename it; or mark it as failed, with a word that says why."""
    if _tracing is not None:
        _tracing.note(name, failed, attributes)


def traceparent() -> str | None:
    """The open span as W3C Trace Context has it, for whoever goes on with it later."""
    return headers().get("traceparent")


def headers() -> Mapping[str, str]:
    """The headers by which a request to a backend goes on with the open span; none while there is none."""
    return {} if _tracing is None else _tracing.headers()


def trace_id() -> str | None:
    """The id of the trace that the open span belongs to."""
    return None if _tracing is None else _tracing.trace_id()
