"""What every request passes before it reaches a route."""

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from darkroom.api.problems import SAFETY, FieldProblem, Problem, refuse, say
from darkroom.errors import Forbidden, PayloadTooLarge

MARKS = (b",", b"{", b"[")
"""What stands before or between the values of JSON."""
MOST_MARKS = 100_000
BODY_WITHIN: Final = 300.0
"""Seconds for a body to come, whole: what came of it is held meanwhile. 32 MB take 256 at 1 Mbit/s."""
BINARY = ("multipart/", "image/", "application/octet-stream")


class BodyLimit:
    """Refuses bodies over `most` bytes with 413, by their declared length or, without one, as they come in.

    At `paths`, and below those that end in a slash, `with_pictures` bytes may come. What is larger for its pictures
    holds few values: JSON of as many would take seconds to read, in which nothing else is done here.
    What has not come after `BODY_WITHIN` seconds is answered with 408.
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
            await _too_large(scope, most)(scope, receive, send)
        elif "transfer-encoding" in headers or size > self._most:
            is_binary = headers.get("content-type", "").lower().startswith(BINARY)
            counted = self._counted(scope, receive, most, math.inf if is_binary else MOST_MARKS)
            await self._run(scope, _timely(scope, counted), send)
        elif size:
            await self._run(scope, _timely(scope, receive), send)
        else:
            await self._app(scope, receive, send)

    def _most_for(self, path: str) -> int:
        return self._with_pictures if path in self._paths or path.startswith(self._below) else self._most

    def _counted(self, scope: Scope, receive: Receive, most: int, most_marks: float) -> Receive:
        """`receive`, which raises `_Refused` once too much has come."""
        seen, marks = 0, 0

        async def counted() -> Message:
            nonlocal seen, marks
            message = await receive()
            body = message.get("body", b"")
            seen += len(body)
            marks += sum(map(body.count, MARKS))
            if seen > most:
                raise _Refused(_too_large(scope, most))
            if seen > self._most and marks > most_marks:
                what = f"a body of over {self._most} bytes may have at most {MOST_MARKS} values"
                raise _Refused(_closing(refuse(scope, PayloadTooLarge(what, field="body"))))
            return message

        return counted

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with what `receive` refuses, unless an answer is on its way."""
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except (_Refused, BaseExceptionGroup) as error:
            refused = _refusal_in(error)
            if refused is None:
                raise
            if not started:
                await refused.response(scope, receive, send)


def _timely(scope: Scope, receive: Receive) -> Receive:
    """`receive`, which raises `_Refused` when the body is not there in time; what follows the body may take long."""
    deadline, is_whole = asyncio.get_running_loop().time() + BODY_WITHIN, False

    async def timely() -> Message:
        nonlocal is_whole
        try:
            async with asyncio.timeout_at(None if is_whole else deadline):
                message = await receive()
        except TimeoutError as error:
            raise _Refused(_too_late(scope)) from error
        is_whole = not message.get("more_body", False)
        return message

    return timely


def _too_large(scope: Scope, most: int) -> Response:
    error = PayloadTooLarge(f"the body may have at most {most} bytes", field="body")
    return _closing(refuse(scope, error))


def _too_late(scope: Scope) -> Response:
    status, detail = HTTPStatus.REQUEST_TIMEOUT, f"the body did not come within {BODY_WITHIN:g} s"
    problem = Problem(
        title=status.phrase,
        status=status,
        detail=detail,
        code="request_timeout",
        errors=[FieldProblem(field="body", message=detail)],
    )
    return _closing(say(scope, problem))


def _closing(response: Response) -> Response:
    """`response`, after which the connection is closed: more of the body would come on it."""
    response.headers["Connection"] = "close"
    return response


class _Refused(BaseException):
    """Passes through the framework's `except Exception` on its way out."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def _refusal_in(error: BaseException) -> _Refused | None:
    """The refusal that `error` is, or is a group of: who streams listens for it in a task of its own."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, _Refused) else None


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


_SAFETY = tuple((name.lower().encode(), value.encode()) for name, value in SAFETY.items())


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
