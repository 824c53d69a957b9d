"""Requests a second and latencies of POST, status, get and list, at 1,000, 100,000 and 1,000,000 rows.

The rows are media that have ended, in SQLite. What is POSTed waits: its lane's only worker is held. The partner is a
bare FastAPI route that reads one row of the same database by its key (for lists, a plain page of it), or inserts one
row and commits it.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import load, report
from benchmarks.load import Plan
from benchmarks.report import Line
from benchmarks.seed import COMMON, RARE, TAGS, Seeded, seed
from benchmarks.servers import PARKING, Server, bare, darkroom, park

COLUMNS = (
    "", "rows", "callers", "requests/s", "p50 ms", "p99 ms", "longest ms", "CPU ms/request",
    "bare requests/s", "bare p50 ms", "bare p99 ms", "of bare",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Route:
    """A kind of request, and the bare one beside it: paths with what varies filled in."""

    name: str
    paths: list[str]
    bare_paths: list[str]
    method: str = "GET"
    body: str = ""
    expect: int = 200


@dataclass(frozen=True, slots=True)
class Measured:
    """Requests a second, latencies in milliseconds, and milliseconds of the server's CPU a request."""

    rate: float
    p50: float
    p99: float
    longest: float
    cpu: float


def routes(seeded: Seeded) -> list[Route]:
    """Every request that is measured."""
    status = [f"/media/jobs/{job_id}/status" for job_id in seeded.job_ids]
    ids = seeded.media_ids
    media = [f"/media/{media_id}" for media_id in ids]
    queries = {
        "plain": "",
        "status": "?status=COMPLETED",
        "rare status": "?status=CANCELLED",
        "tag": f"?tag={TAGS[3]}",
        "q common": f"?q={COMMON}",
        "q rare": f"?q={RARE}",
        "q common + status": f"?q={COMMON}&status=COMPLETED",
        "q rare + status": f"?q={RARE}&status=COMPLETED",
    }
    return [
        post(),
        Route("GET status of a job", status, status),
        Route("GET status, as fal polls", [f"/fal/queue/darkroom/dummy/requests/{it}/status" for it in ids], status),
        Route("GET a media", media, media),
        *(Route(f"GET list, {name}", [f"/media{query}"], ["/media"]) for name, query in queries.items()),
    ]


def post() -> Route:
    """Only accepting: the media waits in a lane whose worker is held."""
    body = json.dumps({"prompt": "a lighthouse at dusk, long exposure, grainy film", "model": "parked"})
    return Route("POST", ["/media/generate"], ["/media/generate"], "POST", body, 202)


def compare(
    rows: int, ours: Server, theirs: Server, wanted: Sequence[Route], options: argparse.Namespace
) -> list[Line]:
    """The rows of the table for `wanted`."""
    return [
        _compare_one(route, rows, callers, ours, theirs, options) for callers in options.callers for route in wanted
    ]


def _compare_one(
    route: Route, rows: int, callers: int, ours: Server, theirs: Server, options: argparse.Namespace
) -> Line:
    plan = Plan(
        ours.port, route.paths, route.method, route.body, callers=callers, seconds=options.seconds, warm_up=16,
        expect=route.expect,
    )  # fmt: skip
    beside = replace(plan, port=theirs.port, paths=route.bare_paths)
    mine, bares = report.in_turn(options.rounds, lambda: _measured(ours, plan), lambda: _measured(theirs, beside))
    return [
        route.name, f"{rows:,}", str(callers),
        *(report.median(mine, name) for name in ("rate", "p50", "p99", "longest", "cpu")),
        *(report.median(bares, name) for name in ("rate", "p50", "p99")),
        f"{report.ratio(mine, bares, 'rate'):.0%}",
    ]  # fmt: skip


def _measured(server: Server, plan: Plan) -> Measured:
    cpu = server.cpu_seconds()
    seen = load.run(plan)
    spent = (server.cpu_seconds() - cpu) / (len(seen.latencies) + plan.warm_up)
    return Measured(seen.rate, seen.p50, seen.p99, seen.longest, spent * 1000)


def measure(folder: Path, rows: int, options: argparse.Namespace) -> list[Line]:
    """Seed a database with `rows` media and measure every route on it."""
    database = folder / "data" / "darkroom.db"
    seeded = seed(database, rows)
    with darkroom(folder, config=PARKING) as ours, bare(folder / "bare", database) as theirs:
        park(ours)
        return compare(rows, ours, theirs, routes(seeded), options)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    options = report.parser("requests", __doc__)
    options.add_argument("--rows", type=_numbers, default=[1000, 100_000, 1_000_000], help="such as 1000,100000")
    options.add_argument("--callers", type=_numbers, default=[16], help="such as 1,16,64")
    options.add_argument("--seconds", type=float, default=2, help="for each measurement")
    given = report.parsed(options)
    if given.quick:
        given.rows, given.seconds = [1000], 0.05
    with report.workplace() as folder:
        table = [line for rows in given.rows for line in measure(folder / str(rows), rows, given)]
        names = [line[0] for line in table]
        table.sort(key=lambda line: names.index(line[0]))
        report.table("Requests on SQLite, beside bare FastAPI routes", COLUMNS, table)


if __name__ == "__main__":
    main()
