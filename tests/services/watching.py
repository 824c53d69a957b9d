"""A caller who watches: reads server-sent events as they come."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx2

PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Event:
    """What came between two blank lines. A comment has `kind` "", and only the first one an id."""

    kind: str
    id: int | None
    data: Any
    comment: str = ""


class Watch:
    """An open stream of events."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._blocks = _blocks(response.iter_lines())

    def comments_too(self) -> Iterator[Event]:
        """All that comes."""
        return (_event(block) for block in self._blocks)

    def __iter__(self) -> Iterator[Event]:
        """The events, without comments."""
        return (event for event in self.comments_too() if event.kind)

    def until(self, kind: str, **data: Any) -> Event:
        """The first event of a kind that has `data` among its own."""
        for event in self:
            if event.kind == kind and data.items() <= event.data.items():
                return event
        raise AssertionError(f"the stream ended without {kind} {data}")

    def rest(self) -> list[Event]:
        """What comes until the stream ends."""
        return list(self)


@contextmanager
def held(client: httpx2.Client, lane: str = "default") -> Iterator[None]:
    """Keep a lane's jobs from starting while the context is open: who begins to watch meanwhile misses nothing."""
    client.post(f"/lanes/{lane}/pause").raise_for_status()
    try:
        yield
    finally:
        client.post(f"/lanes/{lane}/resume").raise_for_status()


@contextmanager
def watching(url: str, path: str, *, after: int | None = None, patience: float = PATIENCE) -> Iterator[Watch]:
    """Watch `path`; once this is open nothing more is missed. `after`: the `Last-Event-ID`."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    with httpx2.stream("GET", url + path, headers=headers, timeout=patience, trust_env=False) as response:
        if response.status_code != 200:
            response.read()
        assert response.status_code == 200, response.text
        yield Watch(response)


def _blocks(lines: Iterator[str]) -> Iterator[list[str]]:
    block: list[str] = []
    for line in lines:
        if line:
            block.append(line)
        else:
            yield block
            block = []


def _event(block: list[str]) -> Event:
    fields = dict(line.split(": ", 1) for line in block if not line.startswith(":"))
    if "event" not in fields:
        number = int(fields["id"]) if "id" in fields else None
        return Event("", number, None, next(line for line in block if line.startswith(":")))
    return Event(fields["event"], int(fields["id"]), json.loads(fields["data"]))


class Crowd:
    """Many callers on one path, on bare sockets; what each has received is in `received`."""

    def __init__(self, port: int, path: str, size: int) -> None:
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        self.received = [b""] * size
        self._sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(size)]
        for one in self._sockets:
            one.sendall(request)
            one.setblocking(False)

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._sockets:
            one.close()

    def have_all(self, text: bytes) -> bool:
        """Whether everyone has received `text` by now."""
        for n, one in enumerate(self._sockets):
            with suppress(BlockingIOError):
                self.received[n] += one.recv(1 << 20)
        return all(text in received for received in self.received)
