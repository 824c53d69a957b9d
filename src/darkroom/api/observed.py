"""Every request is counted and timed, gets an id, and opens a span."""

import re
import secrets
import time
from collections.abc import Awaitable, Mapping
from functools import partial

import structlog
from fastapi.telemetry import TelemetryConfig
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from darkroom.telemetry import logs, traces
from darkroom.telemetry.metrics import REQUESTS

log = structlog.get_logger(__name__)

REQUEST_ID = "X-Request-ID"
WITHOUT_FASTAPIS: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
"""FastAPI's own telemetry is left off: its spans and logs hold what callers search for, and send."""

GONE = 499
"""What is counted, as nginx has it, where the caller went away before the answer began."""

_REQUEST_ID = REQUEST_ID.lower().encode()
_TRACEPARENT = b"traceparent"
_READ = frozenset({_REQUEST_ID, _TRACEPARENT})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PLAIN = re.compile(r"[A-Za-z0-9._:/+=-]{1,100}")


class Observed:
    """The outermost layer. A caller's `X-Request-ID` is kept if it is plain and short; the answer repeats it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"] if name in _READ}
        exchange = _Exchange(scope, send, _id_from(headers.get(_REQUEST_ID)))
        logs.request.set(exchange.ids)  # never reset: a request has a context of its own
        with traces.span("request", "server", headers.get(_TRACEPARENT)):
            await exchange.hold(partial(self._app, scope, receive))


def _id_from(given: str | None) -> str:
    return given if given and _PLAIN.fullmatch(given) else secrets.token_hex(8)


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self._scope = scope
        self._send = send
        self._id = request_id
        self._began = time.perf_counter()
        self._is_told = False

    def ids(self) -> Mapping[str, str]:
        """The request's id, and those in its path once a route has found them."""
        in_path = self._scope.get("path_params", {}).items()
        return {"request_id": self._id, **{name: value for name, value in in_path if name.endswith("_id")}}

    async def hold(self, answer: partial[Awaitable[None]]) -> None:
        """Have it answered."""
        try:
            await answer(self._sending)
        except Exception:
            self._tell(500)
            raise
        finally:
            self._tell(GONE)

    async def _sending(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (_REQUEST_ID, self._id.encode())]
            self._tell(message["status"])
        await self._send(message)

    def _tell(self, status: int) -> None:
        """Tell, once, how it was answered."""
        if self._is_told:
            return
        self._is_told = True
        seconds = time.perf_counter() - self._began
        method = self._scope["method"] if self._scope["method"] in _METHODS else "other"
        route = getattr(self._scope.get("route"), "path", "")
        REQUESTS.labels(method, route, status).observe(seconds)
        log.debug("request", method=method, path=self._scope["path"], status=status, seconds=round(seconds, 6))
        traces.note(
            name=f"{method} {route}".strip(),
            failed=str(status) if status >= 500 else None,
            http_request_method=method,
            http_route=route,
            http_response_status_code=status,
        )
