"""What every request passes before it reaches a route."""

import math
from collections.abc import Callable, Iterable, Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from darkroom.api.problems import refuse
from darkroom.errors import Forbidden, PayloadTooLarge

MARKS = (b",", b"{", b"[")
"""What stands before or between the values of JSON."""
MOST_MARKS = 100_000
BINARY = ("multipart/", "image/", "application/octet-stream")


class BodyLimit:
    """Refuses bodies over `most` bytes with 413, by their declared length or, without one, as they come in.

    At `paths`, and below those that end in a slash, `with_pictures` bytes may come. What is larger for its pictures
    holds few values: JSON of as many would take seconds to read, in which nothing else is done here.
    """

    def __init__(self, app: ASGIApp, *, most: int, with_pictures: int, paths: Sequence[str]) -> None:
        self._app = app
        self._most = most
        self._with_pictures = with_pictures
        self._paths = frozenset(paths)
        self._below = tuple(path for path in paths if path.endswith("/"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, most = Headers(scope=scope), self._most_for(scope["path"])
        declared = headers.get("content-length", "0")
        size = int(declared) if declared.isdecimal() else 0
        if size > most:
            await self._refuse(scope, receive, send, _too_large(most))
        elif "transfer-encoding" in headers or size > self._most:
            is_binary = headers.get("content-type", "").lower().startswith(BINARY)
            await self._count(scope, receive, send, most, math.inf if is_binary else MOST_MARKS)
        else:
            await self._app(scope, receive, send)

    def _most_for(self, path: str) -> int:
        return self._with_pictures if path in self._paths or path.startswith(self._below) else self._most

    async def _count(self, scope: Scope, receive: Receive, send: Send, most: int, most_marks: float) -> None:
        seen, marks, started = 0, 0, False

        async def counted() -> Message:
            nonlocal seen, marks
            message = await receive()
            body = message.get("body", b"")
            seen += len(body)
            marks += sum(map(body.count, MARKS))
            if seen > most:
                raise _TooMuch(_too_large(most))
            if seen > self._most and marks > most_marks:
                raise _TooMuch(f"a body of over {self._most} bytes may have at most {MOST_MARKS} values")
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, counted, noted)
        except _TooMuch as error:
            if not started:
                await self._refuse(scope, receive, send, str(error))

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, message: str) -> None:
        error = PayloadTooLarge(message, field="body")
        response = refuse(scope, error)
        response.headers["Connection"] = "close"
        await response(scope, receive, send)


def _too_large(most: int) -> str:
    return f"the body may have at most {most} bytes"


class _TooMuch(BaseException):
    """Passes through the framework's `except Exception` on its way out."""


class SafetyHeaders:
    """Has browsers neither guess at what an answer is, nor frame it, nor tell others of a signed link."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_SAFETY]
            await send(message)

        await self._app(scope, receive, marked if scope["type"] == "http" else send)


_SAFETY = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)


class Farewell:
    """Closes the connection with each answer once the service is `leaving`: the next request goes elsewhere."""

    def __init__(self, app: ASGIApp, *, leaving: Callable[[], bool]) -> None:
        self._app = app
        self._leaving = leaving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and self._leaving():
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, closing if scope["type"] == "http" else send)


class HostGuard:
    """Answers only under the names that are ours, so that no web page reaches us by rebinding its own."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str]) -> None:
        """`hosts`: names, `*.example.com` for all below one, `*` for all. Ports do not matter."""
        self._app = app
        names = [host_of(host) for host in hosts]
        self._hosts = frozenset(names)
        self._endings = tuple(name.removeprefix("*") for name in names if name.startswith("*"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_ours(host_of(Headers(scope=scope).get("host", ""))):
            error = Forbidden("this host name is not answered here; add it to DARKROOM_ALLOWED_HOSTS", field="Host")
            await refuse(scope, error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_ours(self, host: str) -> bool:
        return host in self._hosts or host.endswith(self._endings)


def host_of(header: str) -> str:
    """The host in a `Host` header, without the port, in lower case."""
    header = header.strip().lower()
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header if header.count(":") > 1 else header.partition(":")[0]
