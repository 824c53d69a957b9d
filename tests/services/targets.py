"""Where webhooks go, and where pictures are fetched from: a real HTTP server that does as it is told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import pytest

HERE = "127.0.0.1"


@dataclass
class Heard:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass
class Reply:
    """What is answered. `after`: not before this is set; None: at once."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""
    after: Event | None = None


class Target:
    """Answers with `replies`, each once, then with `reply`; keeps what it has heard."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.replies: list[Reply] = []
        self.reply = Reply()
        self._server = ThreadingHTTPServer((HERE, 0), self._handler())
        self._server.daemon_threads = True
        self.port: int = self._server.server_port
        self.url = f"http://{HERE}:{self.port}/told"

    @contextmanager
    def running(self) -> Iterator["Target"]:
        """Listen while the context is open."""
        thread = Thread(target=lambda: self._server.serve_forever(poll_interval=0.01))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def _handler(target) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler has a self of its own
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                target.heard.append(Heard(self.command, self.path, headers, content))
                reply = target.replies.pop(0) if target.replies else target.reply
                if reply.after is not None:
                    reply.after.wait(30)
                try:
                    self.send_response(reply.status)
                    for name, value in {"Content-Length": str(len(reply.content)), **reply.headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(reply.content)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def log_message(self, *_: object) -> None:
                """Be silent."""

        return Handler


@pytest.fixture
def target() -> Iterator[Target]:
    """A target that listens."""
    with Target().running() as running:
        yield running
