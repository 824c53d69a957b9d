"""Many processes: Darkroom on PostgreSQL, a broker and a store, beside a bare FastAPI + Celery service on the same.

One API process and a worker process for each core, with a provider that costs nothing and a picture of
205 kB. A burst is POSTed by 16 callers as fast as they go; paced, 16 callers POST at an even pace. A latency is from
created_at to completed_at, as the rows have them; memory is what all processes of the service hold once idle (PSS).
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from benchmarks import databases, load, report
from benchmarks.databases import fresh_postgres
from benchmarks.jobs import AS_THEY_COME, noise
from benchmarks.load import ROOT, Plan
from benchmarks.report import Line
from benchmarks.servers import Server, answering, free_port, saying, until
from benchmarks.stores import Store, files, s3

CALLERS = 16
BODY = json.dumps({"prompt": "a lighthouse at dusk, long exposure, grainy film", "model": "dummy"})
COLUMNS = ("", "jobs/s", "of the bare", "p50 ms", "p99 ms", "CPU ms/job", "MiB")


@dataclass(frozen=True, slots=True)
class Measured:
    """Jobs a second and CPU milliseconds a job in a burst, latencies in milliseconds at a pace, memory in MiB."""

    rate: float
    cpu: float
    p50: float
    p99: float
    memory: float


@dataclass(frozen=True, slots=True)
class Rows:
    """Where a service keeps its media."""

    url: str
    table: str

    def unfinished(self) -> int:
        """How many are not COMPLETED."""
        return int(self._ask(f"SELECT count(*) FROM {self.table} WHERE status <> 'COMPLETED'")[0][0])

    def latency(self, share: float, newest: int) -> float:
        """In milliseconds, what `share` of the `newest` media do not exceed."""
        seconds = f"SELECT extract(epoch FROM completed_at - created_at) s FROM {self.table}"
        newest_ones = f"{seconds} ORDER BY created_at DESC LIMIT {newest}"
        found = self._ask(f"SELECT percentile_disc({share}) WITHIN GROUP (ORDER BY s) FROM ({newest_ones}) n")
        return float(found[0][0]) * 1000

    def _ask(self, query: str) -> list[Any]:
        async def run() -> list[Any]:
            connection = await asyncpg.connect(self.url)
            try:
                return list(await connection.fetch(query))
            finally:
                await connection.close()

        return asyncio.run(run())


@dataclass(frozen=True, slots=True)
class Service:
    """An API with its workers."""

    api: Server
    workers: list[Server]
    rows: Rows

    def cpu_seconds(self) -> float:
        """What all processes have used so far."""
        return sum(part.cpu_seconds() for part in (self.api, *self.workers))

    def memory(self) -> float:
        """MiB, each shared page counted once."""
        return sum(part.proportional() for part in (self.api, *self.workers))

    def post(self, **how: Any) -> load.Outcome:
        """Send requests by a load generator."""
        plan = Plan(self.api.port, ["/media/generate"], "POST", BODY, callers=CALLERS, expect=202, **how)
        return load.run(plan)

    def finish(self) -> None:
        """Return once every media is COMPLETED."""
        until(lambda: self.rows.unfinished() == 0, every=0.02)


class Bench:
    """What all measurements share."""

    def __init__(self, folder: Path, options: argparse.Namespace, postgres: str, broker: str) -> None:
        self._folder = folder
        self._jobs: int = 50 if options.quick else options.jobs
        self._pace: float = options.pace
        self._seconds: float = 0.5 if options.quick else options.seconds
        self._rounds: int = options.rounds
        self._workers: int = options.workers
        self._postgres = postgres
        self._broker = broker
        self._names = count()
        self._picture = folder / "picture.png"
        self._picture.write_bytes(noise())

    def compare(self, title: str, store: Store) -> None:
        """Measure both in turn, and print it."""
        ours, theirs = report.in_turn(
            self._rounds, lambda: self._measured(self._darkroom, store), lambda: self._measured(self._bare, store)
        )
        report.table(
            title,
            COLUMNS,
            [
                _row("darkroom", ours, f"{report.ratio(ours, theirs, 'rate'):.0%}"),
                _row("bare FastAPI + Celery", theirs, None),
            ],
        )

    def _measured(self, start: Callable[[Store, str, ExitStack], Service], store: Store) -> Measured:
        with ExitStack() as stack:
            database = stack.enter_context(fresh_postgres(self._postgres))
            service = start(store, database, stack)
            service.post(count=50)
            service.finish()
            rate, cpu = self._burst(service)
            sent = service.post(rate=self._pace, seconds=self._seconds)
            service.finish()
            latencies = [service.rows.latency(share, len(sent.latencies)) for share in (0.5, 0.99)]
            return Measured(rate, cpu, latencies[0], latencies[1], service.memory())

    def _burst(self, service: Service) -> tuple[float, float]:
        cpu = service.cpu_seconds()
        sent = service.post(count=self._jobs)
        service.finish()
        return self._jobs / (time.time() - sent.started), (service.cpu_seconds() - cpu) / self._jobs * 1000

    def _darkroom(self, store: Store, database: str, stack: ExitStack) -> Service:
        place, port = self._place(), free_port()
        ours = {
            "PORT": port, "DATA_DIR": place / "data", "LOG_LEVEL": "info", "DATABASE_URL": database,
            "BROKER_URL": self._broker, "BROKER_QUEUE_PREFIX": f"benchmark-{uuid4().hex[:8]}",
            "PROVIDERS__DUMMY__PICTURE": self._picture, "SECRET": "for a benchmark only",
            **AS_THEY_COME, **store.darkroom,
        }  # fmt: skip
        environment = {f"DARKROOM_{name}": str(value) for name, value in ours.items()}
        command = [sys.executable, "-m", "darkroom"]
        api = stack.enter_context(answering([*command, "serve"], place, port, environment))
        workers = [
            stack.enter_context(saying("worker_started", [*command, "worker"], self._place(), environment))
            for _ in range(self._workers)
        ]
        return Service(api, workers, Rows(database, "media"))

    def _bare(self, store: Store, database: str, stack: ExitStack) -> Service:
        place, port = self._place(), free_port()
        environment = {
            "BARE_DATABASE": database, "BARE_BROKER": self._broker, "BARE_QUEUE": f"bare-{uuid4().hex[:8]}",
            "BARE_PICTURE": str(self._picture), "PYTHONPATH": str(ROOT), **store.bare,
        }  # fmt: skip
        api = [sys.executable, "-m", "benchmarks.bare_celery", str(port)]
        worker = [sys.executable, "-m", "celery", "-A", "benchmarks.bare_celery", "worker", "--loglevel", "info"]
        pool = [*worker, "--concurrency", str(self._workers)]
        return Service(
            stack.enter_context(answering(api, place, port, environment)),
            [stack.enter_context(saying("ready.", pool, self._place(), environment))],
            Rows(database, "bare_media"),
        )

    def _place(self) -> Path:
        return self._folder / f"run{next(self._names)}"


def _row(name: str, rounds: list[Measured], ratio: str | None) -> Line:
    rate, *others = (report.median(rounds, column) for column in ("rate", "p50", "p99", "cpu", "memory"))
    return [name, rate, ratio, *others]


def main() -> None:
    options = report.parser("distributed", __doc__)
    options.add_argument("--jobs", type=int, default=2000, help="jobs of a burst")
    options.add_argument("--pace", type=float, default=50, help="jobs a second at an even pace")
    options.add_argument("--seconds", type=float, default=10, help="how long the pace is kept")
    options.add_argument("--workers", type=int, default=os.cpu_count(), help="worker processes")
    databases.add_options(options)
    given = report.parsed(options)
    with report.workplace() as folder:
        bench = Bench(folder, given, given.database_url, given.broker_url)
        for name, store in {"files": files, "S3": s3}.items():
            with store(folder / name) as opened:
                bench.compare(f"PostgreSQL, {databases.kind_of(given.broker_url)}, {name}", opened)


if __name__ == "__main__":
    main()
