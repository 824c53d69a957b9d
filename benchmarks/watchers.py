"""How long it takes until all who watch know of a change.

Many callers hold a stream of server-sent events open at one server process; queued media are cancelled, one after
another. A change counts from the request that makes it until the last of the callers has its event. The partner is a
bare FastAPI service that passes the same text to as many streams by the framework's own means, and keeps nothing.
"""

import asyncio
import json
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import uvloop

from benchmarks import report
from benchmarks.load import ROOT, percentile
from benchmarks.report import Line
from benchmarks.servers import PARKING, Server, answering, darkroom, free_port, park

COLUMNS = ("", "watchers", "all know: p50 ms", "p99 ms", "longest ms", "CPU ms/change", "KiB/watcher", "p50, of bare")
SPARE_FILES = 200
QUEUED = json.dumps({"prompt": "a lighthouse at dusk, long exposure, grainy film", "model": "parked"})


@dataclass(frozen=True, slots=True)
class Measured:
    """Milliseconds until all knew, of the server's CPU a change, and its memory a watcher in KiB."""

    p50: float
    p99: float
    longest: float
    cpu: float
    memory: float


class Watcher(asyncio.Protocol):
    """One stream. It counts the events that it receives, and tells the crowd."""

    def __init__(self, crowd: "Crowd") -> None:
        self._crowd = crowd
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(b"GET /media/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")

    def data_received(self, data: bytes) -> None:
        seen = self._tail + data
        for what in (b"HTTP/1.1 200", b"event: completed"):
            if what in seen:
                seen = seen.rpartition(what)[2]
                self._crowd.tick()
        self._tail = seen[-20:]


class Crowd:
    """Callers who watch at once."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._missing = size
        self._all = asyncio.Event()

    def tick(self) -> None:
        """Somebody received what is waited for."""
        self._missing -= 1
        if self._missing == 0:
            self._all.set()

    async def gather(self, port: int) -> None:
        """Have every caller watch."""
        loop = asyncio.get_running_loop()
        for _ in range(self.size):
            await loop.create_connection(lambda: Watcher(self), "127.0.0.1", port)
        await self.all()

    async def all(self) -> None:
        """Return once everyone has received what is waited for, and wait for the next."""
        async with asyncio.timeout(60):
            await self._all.wait()
        self._missing = self.size
        self._all.clear()


async def ask(port: int, path: str, body: str = "") -> bytes:
    """POST, on a connection of its own; the answer's body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    answer = await reader.read()
    writer.close()
    return answer.partition(b"\r\n\r\n")[2]


async def watch(server: Server, watchers: int, changes: int) -> Measured:
    """Let `watchers` hear of `changes`."""
    media = [json.loads(await ask(server.port, "/media/generate", QUEUED))["id"] for _ in range(changes)]
    before = server.resident()
    crowd = Crowd(watchers)
    await crowd.gather(server.port)
    memory, cpu = server.resident() - before, server.cpu_seconds()
    times = [await _change(crowd, server.port, media_id) for media_id in media]
    spent = (server.cpu_seconds() - cpu) * 1000 / changes
    return Measured(
        percentile(times, 0.5), percentile(times, 0.99), max(times) * 1000, spent, memory * 1024 / watchers
    )  # fmt: skip


async def _change(crowd: Crowd, port: int, media_id: str) -> float:
    """Seconds from asking for a change until all know."""
    begin = time.perf_counter()
    asking = asyncio.create_task(ask(port, f"/media/{media_id}/cancel"))
    await crowd.all()
    took = time.perf_counter() - begin
    await asking
    return took


def measure(server: Server, watchers: int, changes: int) -> Measured:
    """As `watch`, on an event loop of its own."""
    return uvloop.run(watch(server, watchers, changes))


def allow_files(most: int) -> None:
    """Let this process and those that it starts have so many files and sockets open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, hard), hard))


def compare(folder: Path, watchers: int, changes: int, rounds: int) -> list[Line]:
    """The rows of the table."""
    port = free_port()
    bare = [sys.executable, "-m", "benchmarks.bare_streams", str(port)]
    with (
        darkroom(folder / "ours", config=PARKING) as ours,
        answering(bare, folder / "bare", port, {"PYTHONPATH": str(ROOT)}) as theirs,
    ):
        park(ours)
        mine, bares = report.in_turn(
            rounds, lambda: measure(ours, watchers, changes), lambda: measure(theirs, watchers, changes)
        )
        return [
            _row(name, watchers, seen, bares) for name, seen in (("darkroom", mine), ("bare FastAPI service", bares))
        ]


def _row(name: str, watchers: int, seen: list[Measured], bares: list[Measured]) -> Line:
    figures = [report.median(seen, column) for column in ("p50", "p99", "longest", "cpu")]
    memory = seen[0].memory  # later rounds find it in place
    return [name, f"{watchers:,}", *figures, memory, f"{report.ratio(seen, bares, 'p50'):.2f}"]


def main() -> None:
    options = report.parser("watchers", __doc__)
    options.add_argument("--watchers", type=int, default=1000, help="streams that are open at once")
    options.add_argument("--changes", type=int, default=100, help="media that are cancelled, a round")
    given = report.parsed(options)
    if given.quick:
        given.watchers, given.changes = 50, 3
    allow_files(given.watchers + SPARE_FILES)
    with report.workplace() as folder:
        lines = compare(folder, given.watchers, given.changes, given.rounds)
        report.table("Until all who watch know of a change", COLUMNS, lines)


if __name__ == "__main__":
    main()
