"""What the fakes share: a server in a thread, faults on demand, and a ledger of what was created."""

import asyncio
import base64
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Message, Receive, Scope, Send

How = Literal["answer", "cut", "cut_body", "hang", "garbage", "slow"]


@dataclass(slots=True)
class Fault:
    """What goes wrong with the next `times` calls of the endpoint `on` (a route's name; "*": any).

    how: `answer` with this status, headers and body instead; `cut` the connection before an answer; `cut_body` in
    the middle of the body; `hang` until the caller leaves; `garbage`: 200 and a body that is no JSON and no picture;
    `slow`: only after `seconds`.
    handled: whether the request is carried out all the same, so that only its answer is lost.
    skip: how many calls are left alone first.
    strike: called as it goes wrong: before the connection is cut, or (`slow`) once the request is here.
    """

    on: str
    how: How = "answer"
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b'{"detail": "a fault"}'
    handled: bool = False
    times: int = 1
    skip: int = 0
    seconds: float = 0.0
    strike: Callable[[], object] | None = None


@dataclass(frozen=True, slots=True)
class Created:
    """Something that costs money was begun at the backend: its id there, what was asked for, when (monotonic)."""

    id: str
    body: Mapping[str, Any]
    at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it came: the endpoint's name, the path with its query, the headers (lower case), the body."""

    endpoint: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Fake:
    """A backend. Subclasses give `routes` (with names) and call `self.record(ref, body)` when something is created.

    `created`: all that was begun, which is what a vendor would bill. `calls`: every request.
    `seconds`: how long making a picture takes. `key`: the only credentials that are accepted.
    """

    key = "test-key"

    def __init__(self, *, seconds: float = 0.0, port: int = 0) -> None:
        self.seconds = seconds
        self.created: list[Created] = []
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._lock = threading.Lock()

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """The endpoints, each with a name."""
        raise NotImplementedError

    def record(self, ref: str, body: Mapping[str, Any]) -> None:
        """Write down that something was begun."""
        self.created.append(Created(ref, body))

    def fail(self, on: str, how: How = "answer", **how_exactly: Any) -> Fault:
        """Have the next call of `on` go wrong; see `Fault`."""
        fault = Fault(on, how, **how_exactly)
        self.faults.append(fault)
        return fault

    def called(self, endpoint: str) -> list[Call]:
        """The requests to an endpoint."""
        return [call for call in self.calls if call.endpoint == endpoint]

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Answer at `url` while the context is open."""
        config = uvicorn.Config(self, log_level="error", lifespan="off", access_log=False, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._app = Starlette(routes=list(self.routes))
        thread.start()
        deadline = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < deadline, "the fake does not start"
            time.sleep(0.005)
        try:
            yield self
        finally:
            server.should_exit = True
            thread.join(10)

    # The server's side

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoint(scope)
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await _body(receive)
        if body is None:
            return
        self.calls.append(_call(endpoint, scope, body))
        fault = self._fault(endpoint)
        if fault is not None:
            await self._go_wrong(fault, scope, body, receive, send)
        else:
            await self._app(scope, _replayed(body, receive), send)

    def _endpoint(self, scope: Scope) -> str:
        for route in self.routes:
            if route.matches(scope)[0] is Match.FULL:
                return str(getattr(route, "name", ""))
        return ""

    def _fault(self, endpoint: str) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.on not in (endpoint, "*"):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                return fault
        return None

    async def _go_wrong(self, fault: Fault, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        strike = fault.strike or (lambda: None)
        if fault.how == "slow":
            strike()
            await asyncio.sleep(fault.seconds)
        if fault.handled or fault.how in ("slow", "cut_body"):
            answer = _Kept(send if fault.how == "slow" else None)
            await self._app(scope, _replayed(body, receive), answer)
            kept = answer.messages
        match fault.how:
            case "answer":
                headers = {"content-type": "application/json", **fault.headers}
                await Response(fault.body, fault.status, headers)(scope, receive, send)
            case "garbage":
                await Response(b"<html>it works!</html>", 200, {"content-type": "text/html"})(scope, receive, send)
            case "cut":
                strike()
                await _abort(send)
            case "cut_body":
                await send(kept[0])
                half = b"".join(message.get("body", b"") for message in kept[1:])
                await send({"type": "http.response.body", "body": half[: len(half) // 2], "more_body": True})
                await asyncio.sleep(0.05)
                strike()
                await _abort(send)
            case "hang":
                while (await receive())["type"] != "http.disconnect":
                    pass


class _Kept:
    """Takes an answer instead of the caller, or (with `send`) hands it on."""

    def __init__(self, send: Send | None) -> None:
        self.messages: list[Message] = []
        self._send = send

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)
        if self._send:
            await self._send(message)


async def _abort(send: Send) -> None:
    """Cut the connection, and let the server notice."""
    send.__self__.transport.abort()  # type: ignore[attr-defined]  # uvicorn's own
    await asyncio.sleep(0)


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None: the caller left before."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _call(endpoint: str, scope: Scope, body: bytes) -> Call:
    headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
    query = scope["query_string"].decode()
    return Call(endpoint, scope["method"], scope["path"] + (f"?{query}" if query else ""), headers, body)


def picture(width: int = 64, height: int = 48, *, form: str = "PNG", seed: int = 0) -> bytes:
    """A small picture that decodes, of a colour that comes from `seed`."""
    colour = (seed * 37 % 256, seed * 101 % 256, seed * 197 % 256)
    made = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(made, form)
    return made.getvalue()


def data_uri(content: bytes, kind: str = "image/png") -> str:
    """Bytes as a `data:` URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
