"""OpenTelemetry's SDK, imported only when traces are wanted."""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from darkroom import __version__

log = structlog.get_logger(__name__)

TIMEOUT = 5.0
"""Seconds for the collector to take a batch."""

LAST_WORD = 2.0
"""Seconds in which the last spans are sent when the process stops."""

COMPLAIN_EVERY = 60.0

Attributes = Mapping[str, str | int | float | bool | None]


class Tracing:
    """Makes spans and sends them in batches, from a thread of its own."""

    def __init__(self, url: str, ratio: float) -> None:
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)  # `_Patient` says it, less often
        self._exporter = _Patient(OTLPSpanExporter(f"{url.rstrip('/')}/v1/traces", timeout=TIMEOUT))
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(ratio)),
            resource=_resource(),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("darkroom", __version__)
        self._context = TraceContextTextMapPropagator()

    @contextmanager
    def span(self, name: str, kind: str, parent: str | None, attributes: Attributes) -> Iterator[None]:
        above = self._context.extract({"traceparent": parent}) if parent else None
        with self._tracer.start_as_current_span(
            name,
            context=above,
            kind=trace.SpanKind[kind.upper()],
            attributes=_named(attributes),
            record_exception=False,
            set_status_on_exception=False,
        ) as made:
            try:
                yield
            except BaseException as error:
                made.set_status(trace.StatusCode.ERROR, type(error).__name__)
                raise

    def note(self, name: str | None, failed: str | None, attributes: Attributes) -> None:
        current = trace.get_current_span()
        current.set_attributes(_named(attributes))
        if name is not None:
            current.update_name(name)
        if failed is not None:
            current.set_status(trace.StatusCode.ERROR, failed)

    def headers(self) -> Mapping[str, str]:
        carrier: dict[str, str] = {}
        self._context.inject(carrier)
        return carrier

    def trace_id(self) -> str | None:
        context = trace.get_current_span().get_span_context()
        return trace.format_trace_id(context.trace_id) if context.is_valid else None

    def close(self) -> None:
        """Send what is left, for at most two seconds."""
        ending = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        ending.start()
        ending.join(LAST_WORD)
        self._exporter.shutdown()


def _resource() -> Resource:
    return Resource.create(
        {
            "service.name": "darkroom",
            "service.version": __version__,
            "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
        }
    )


def _named(attributes: Attributes) -> dict[str, str | int | float | bool]:
    """`http_route` -> `http.route`, as OpenTelemetry names it; what is our own is below `darkroom.`."""
    return {
        name.replace("_", ".", 2) if name.startswith("http_") else f"darkroom.{name}": value
        for name, value in attributes.items()
        if value is not None
    }


class _Patient(SpanExporter):
    """Hands spans on; says now and then how many the collector did not take."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost = 0
        self._silent_until = 0.0
        self._is_shut = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._lost += len(spans)
            self._complain()
        return result

    def _complain(self) -> None:
        now = time.monotonic()
        if now >= self._silent_until:
            log.warning("spans_lost", spans=self._lost, reason="the collector of traces does not take them")
            self._lost, self._silent_until = 0, now + COMPLAIN_EVERY

    def shutdown(self) -> None:
        if not self._is_shut:
            self._is_shut = True
            self._exporter.shutdown()
