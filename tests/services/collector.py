"""A collector of traces: what OpenTelemetry's exporters speak to, over HTTP."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status


@dataclass(frozen=True, slots=True)
class Span:
    """A span as it was sent. Ids are hexadecimal; `parent` is empty for the first of a trace."""

    name: str
    trace: str
    id: str
    parent: str
    failed: str | None
    attributes: dict[str, Any]
    instance: str


class Collector:
    """Keeps every span that it is sent."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def named(self, name: str, **attributes: Any) -> list[Span]:
        """The spans of that name with these attributes of ours, among others."""
        wanted = {f"darkroom.{key}": value for key, value in attributes.items()}.items()
        return [span for span in self.spans if span.name == name and wanted <= span.attributes.items()]

    def one(self, name: str, *, within: float = 30.0, **attributes: Any) -> Span:
        """The one span of that name with these attributes, once it is there."""
        deadline = time.monotonic() + within
        while not (found := self.named(name, **attributes)):
            assert time.monotonic() < deadline, f"no {name} {attributes} among {self.spans}"
            time.sleep(0.02)
        assert len(found) == 1, found
        return found[0]

    def take(self, body: bytes) -> None:
        """Keep the spans of a request."""
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = {item.key: item.value.string_value for item in group.resource.attributes}
            assert resource["service.name"] == "darkroom"
            for scope in group.scope_spans:
                self.spans += [_span(span, resource["service.instance.id"]) for span in scope.spans]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _span(sent: Any, instance: str) -> Span:
    failed = sent.status.message if sent.status.code == Status.STATUS_CODE_ERROR else None
    attributes = {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in sent.attributes}
    return Span(
        sent.name, sent.trace_id.hex(), sent.span_id.hex(), sent.parent_span_id.hex(), failed, attributes, instance
    )  # fmt: skip


def _handler_of(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            collector.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that listens."""
    made = Collector()
    yield made
    made.close()
