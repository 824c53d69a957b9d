"""A light load generator, in a process of its own: it shares the server's cores, but not its event loop.

echo '{"port": 8000, "paths": ["/healthz"], "count": 1000}' | python -m benchmarks.load
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import count, cycle
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send: `paths` in turn, until `count` requests or `seconds` are over (at least one is given).

    Without `rate` each of `callers` sends its next request when it has the answer to its last. With `rate`,
    that many are sent a second, however long the answers take, and a latency counts from the scheduled time;
    the timer's grain, a millisecond, is in it.
    """

    port: int
    paths: list[str]
    method: str = "GET"
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    callers: int = 16
    count: int | None = None
    seconds: float | None = None
    rate: float | None = None
    warm_up: int = 0
    expect: int = 200


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back: `latencies` in seconds, `started` in seconds since the epoch."""

    started: float
    wall: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.wall

    @property
    def p50(self) -> float:
        """The median latency in milliseconds."""
        return percentile(self.latencies, 0.5)

    @property
    def p99(self) -> float:
        """The latency in milliseconds that one of a hundred exceeds."""
        return percentile(self.latencies, 0.99)

    @property
    def longest(self) -> float:
        """In milliseconds."""
        return max(self.latencies) * 1000


def percentile(seconds: list[float], share: float) -> float:
    """In milliseconds, the value that `share` of `seconds` do not exceed."""
    return sorted(seconds)[min(len(seconds) - 1, int(len(seconds) * share))] * 1000


def run(plan: Plan) -> Outcome:
    """Carry out `plan` in another process. Raises `RuntimeError` if any answer was not as expected."""
    command = [sys.executable, "-m", "benchmarks.load"]
    done = subprocess.run(
        command, input=json.dumps(asdict(plan)), capture_output=True, text=True, cwd=ROOT, check=False
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{plan.method} {plan.paths[0]}: {done.stderr}")
    return Outcome(**json.loads(done.stdout))


class Connection(asyncio.Protocol):
    """One kept-alive connection with one request under way. Answers must state their Content-Length."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._answer: asyncio.Future[int] | None = None
        self.is_open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, request: bytes) -> "asyncio.Future[int]":
        """Send; the answer's status comes once its body is here."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or len(self._buffer) < end + 4 + _length(self._buffer[:end]):
            return
        status = int(self._buffer[9:12])
        self._buffer.clear()
        assert self._answer is not None, "an answer to no request"
        self._answer.set_result(status)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"the server closed the connection: {exc}"))


def _length(head: bytearray) -> int:
    found = head.lower().find(b"content-length:")
    return 0 if found < 0 else int(head[found + 15 :].partition(b"\r\n")[0])


class Generator:
    """Carries out one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._requests = cycle([_encoded(plan, path) for path in plan.paths])
        self._latencies: list[float] = []
        self._statuses: Counter[int] = Counter()
        self._idle: list[Connection] = []

    async def run(self) -> Outcome:
        """Send everything; raise `SystemExit` with what came instead, if something else than expected did."""
        self._idle = [await self._connect() for _ in range(self._plan.callers)]
        await self._all_callers(range(self._plan.warm_up), until=float("inf"))
        self._latencies.clear()
        started, begin = time.time(), time.perf_counter()
        if self._plan.rate:
            await self._paced(begin, self._plan.rate)
        else:
            numbers = count() if self._plan.count is None else range(self._plan.count)
            await self._all_callers(numbers, until=begin + (self._plan.seconds or float("inf")))
        wall = time.perf_counter() - begin
        if set(self._statuses) - {self._plan.expect}:
            sys.exit(f"answers by status: {dict(self._statuses)}")
        return Outcome(started, wall, self._latencies)

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(Connection, "127.0.0.1", self._plan.port))[1]

    async def _all_callers(self, numbers: "range | count[int]", *, until: float) -> None:
        shared = iter(numbers)
        await asyncio.gather(*(self._caller(connection, shared, until) for connection in self._idle))

    async def _caller(self, connection: Connection, shared: Iterator[int], until: float) -> None:
        for _ in shared:
            begin = time.perf_counter()
            if begin >= until:
                return
            connection = await self._ask(connection, begin)

    async def _ask(self, connection: Connection, since: float) -> Connection:
        """Ask, anew connected if the server has closed `connection` meanwhile; return the one that was used."""
        if not connection.is_open:
            connection = await self._connect()
        self._statuses[await connection.ask(next(self._requests))] += 1
        self._latencies.append(time.perf_counter() - since)
        return connection

    async def _paced(self, begin: float, rate: float) -> None:
        total = self._plan.count or int(rate * (self._plan.seconds or 1))
        async with asyncio.TaskGroup() as sent:
            for n in range(total):
                due = begin + n / rate
                await asyncio.sleep(due - time.perf_counter())
                sent.create_task(self._ask_on_idle(due))

    async def _ask_on_idle(self, due: float) -> None:
        connection = self._idle.pop() if self._idle else await self._connect()
        self._idle.append(await self._ask(connection, due))


def _encoded(plan: Plan, path: str) -> bytes:
    body = plan.body.encode()
    fixed = {"Host": "127.0.0.1", "Content-Length": str(len(body)), "Content-Type": "application/json"}
    lines = [f"{name}: {value}" for name, value in {**fixed, **plan.headers}.items()]
    return "\r\n".join([f"{plan.method} {path} HTTP/1.1", *lines, "", ""]).encode() + body


def main() -> None:
    plan = Plan(**json.load(sys.stdin))
    # The standard loop: uvloop would be faster, and its timers coarser.
    json.dump(asdict(asyncio.run(Generator(plan).run())), sys.stdout)


if __name__ == "__main__":
    main()
