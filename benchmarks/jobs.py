"""End to end: from POST to COMPLETED, with a provider that costs nothing and a picture of 205 kB.

A burst is POSTed by 16 callers as fast as they go, and over once the list shows none under way; the latency of a
job is from its created_at to its completed_at. Paced, callers wait for the picture with `Prefer: wait`, and a latency
is from the scheduled time of the POST to the answer.
"""

import argparse
import io
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

import httpx2
import numpy as np
from PIL import Image

from benchmarks import load, loops, report
from benchmarks.databases import fresh_postgres, local_postgres
from benchmarks.load import Plan, percentile
from benchmarks.report import Line
from benchmarks.servers import Server, darkroom, wait_until_idle

SIDE = 261
"""Noise does not compress: 261 x 261 x 3 bytes are 205 kB as PNG."""
CALLERS = 16
PACE = 100
GROUP = 50
BODY = json.dumps({"prompt": "a lighthouse at dusk, long exposure, grainy film", "model": "dummy"})
AS_THEY_COME = {"OUTPUT__THUMBNAILS": "false", "OUTPUT__METADATA": "false"}
COLUMNS = ("", "jobs/s", "p50 ms", "p99 ms", "longest ms", "CPU ms/job", "of the partner")


@dataclass(frozen=True, slots=True)
class Measured:
    """Jobs a second, latencies in milliseconds, and what a job cost the server in milliseconds of CPU."""

    rate: float
    p50: float
    p99: float
    longest: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Both:
    """The same server under a burst, and paced."""

    burst: Measured
    paced: Measured


class Bench:
    """What all measurements share."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self._folder = folder
        self._jobs: int = 100 if options.quick else options.jobs
        self._seconds: float = 0.5 if options.quick else options.seconds
        self._rounds: int = options.rounds
        self._names = count()
        self._picture = folder / "picture.png"
        self._picture.write_bytes(noise())

    def compare(self, name: str, settings: Mapping[str, str], postgres: str | None) -> None:
        """Measure Darkroom with `settings` and what is comparable, in turn, and print it."""
        partners = {"picture work alone, all cores": 0} if not settings else {
            f"bare loop, up to {GROUP} rows a commit": GROUP, "bare loop, one row a commit": 1,
        }  # fmt: skip
        ours: list[Both] = []
        theirs: list[list[loops.Pace]] = [[] for _ in partners]

        def darkroom() -> None:
            ours.append(self._measured(settings, postgres))

        def partner(n: int, group: int) -> None:
            theirs[n].append(self._loop(group))

        report.in_turn(
            self._rounds, darkroom, *(lambda n=n, g=g: partner(n, g) for n, g in enumerate(partners.values()))
        )
        bursts, paced = [both.burst for both in ours], [both.paced for both in ours]
        report.table(
            name,
            COLUMNS,
            [
                _row(f"burst of {self._jobs:,}", bursts, report.ratio(bursts, theirs[0], "rate")),
                _row(f"paced at {PACE}/s", paced, None),
                *(_loop_row(partner, paces) for partner, paces in zip(partners, theirs, strict=True)),
            ],
        )

    def _measured(self, settings: Mapping[str, str], postgres: str | None) -> Both:
        with self._server(settings, postgres) as server:
            burst(server, 50)
            return Both(burst(server, self._jobs), paced(server, self._seconds))

    @contextmanager
    def _server(self, settings: Mapping[str, str], postgres: str | None) -> Iterator[Server]:
        more = {"PROVIDERS__DUMMY__PICTURE": self._picture, **settings}
        with ExitStack() as stack:
            if postgres is not None:
                more["DATABASE_URL"] = stack.enter_context(fresh_postgres(postgres))
            yield stack.enter_context(darkroom(self._place(), more))

    def _loop(self, group: int) -> loops.Pace:
        place = self._place()
        place.mkdir()
        return loops.run(loops.Loop(str(self._picture), str(place), self._jobs, group))

    def _place(self) -> Path:
        return self._folder / f"run{next(self._names)}"


def burst(server: Server, jobs: int) -> Measured:
    """POST `jobs` as fast as it goes, and see them through."""
    with server.client() as client:
        cpu = server.cpu_seconds()
        sent = load.run(_plan(server, callers=CALLERS, count=jobs, expect=202))
        wait_until_idle(client)
        wall = time.time() - sent.started
        spent = server.cpu_seconds() - cpu
        latencies = [_seconds(media) for media in _newest(client, jobs)]
    return Measured(
        jobs / wall, percentile(latencies, 0.5), percentile(latencies, 0.99), max(latencies) * 1000, spent / jobs * 1000
    )


def paced(server: Server, seconds: float) -> Measured:
    """POST at an even pace, each caller waiting for its picture."""
    cpu = server.cpu_seconds()
    wait = {"Prefer": "wait=30"}
    seen = load.run(_plan(server, headers=wait, rate=PACE, seconds=seconds, callers=CALLERS, expect=200))
    spent = server.cpu_seconds() - cpu
    with server.client() as client:
        list(_newest(client, len(seen.latencies)))
    return Measured(seen.rate, seen.p50, seen.p99, seen.longest, spent / len(seen.latencies) * 1000)


def _plan(server: Server, **how: object) -> Plan:
    return Plan(port=server.port, method="POST", paths=["/media/generate"], body=BODY, **how)  # type: ignore[arg-type]


def _newest(client: httpx2.Client, wanted: int) -> Iterator[dict[str, str]]:
    """The `wanted` newest media, all of which must be COMPLETED."""
    cursor: dict[str, str] = {}
    for first in range(0, wanted, 100):
        page = client.get("/media", params={"limit": min(100, wanted - first), **cursor}).json()
        for media in page["items"]:
            if media["status"] != "COMPLETED":
                raise RuntimeError(f"not COMPLETED: {media}")
            yield media
        cursor = {"cursor": page["next_cursor"]}


def _seconds(media: Mapping[str, str]) -> float:
    begin, end = (datetime.fromisoformat(media[name]) for name in ("created_at", "completed_at"))
    return (end - begin).total_seconds()


def noise() -> bytes:
    """A PNG of 205 kB."""
    target = io.BytesIO()
    pixels = np.random.default_rng(7).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    Image.fromarray(pixels).save(target, "PNG")
    return target.getvalue()


def _row(name: str, rounds: list[Measured], ratio: float | None) -> Line:
    medians = [report.median(rounds, column) for column in ("rate", "p50", "p99", "longest", "cpu")]
    return [name, *medians, None if ratio is None else f"{ratio:.0%}"]


def _loop_row(name: str, rounds: list[loops.Pace]) -> Line:
    return [name, report.median(rounds, "rate"), None, None, None, report.median(rounds, "cpu"), None]


def main() -> None:
    options = report.parser("jobs", __doc__)
    options.add_argument("--jobs", type=int, default=2000, help="jobs of a burst")
    options.add_argument("--seconds", type=float, default=10, help="how long the pace is kept")
    options.add_argument("--database-url", help="a PostgreSQL where a database may be made; default: this machine's")
    given = report.parsed(options)
    postgres = given.database_url or (None if given.quick else local_postgres())
    with report.workplace() as folder:
        bench = Bench(folder, given)
        for database, url in {"SQLite": None, **({"PostgreSQL": postgres} if postgres else {})}.items():
            bench.compare(f"Pictures stored as they come, {database}", AS_THEY_COME, url)
            bench.compare(f"Everything on (thumbnail, placeholder, metadata), {database}", {}, url)


if __name__ == "__main__":
    main()
