"""Resident memory of the server after 1,000, 5,000 and 20,000 jobs, each with a tiny picture.

The partner is the bare FastAPI service after as many requests.
"""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import count, pairwise
from pathlib import Path

from benchmarks import load, report
from benchmarks.load import Plan
from benchmarks.report import Line
from benchmarks.servers import Server, bare, darkroom, wait_until_idle

MARKS = [0, 1000, 5000, 20_000]
QUICK_MARKS = [0, 50, 100, 200]
BODY = json.dumps({"prompt": "a lighthouse at dusk, long exposure, grainy film", "model": "dummy"})


def resident(server: Server, marks: list[int]) -> list[float]:
    """MiB after each of `marks` jobs have ended."""
    seen = [server.resident()]
    with server.client() as client:
        for before, after in pairwise(marks):
            load.run(Plan(server.port, ["/media/generate"], "POST", BODY, count=after - before, expect=202))
            wait_until_idle(client)
            seen.append(server.resident())
    return seen


def measures(folder: Path, marks: list[int]) -> dict[str, Callable[[], list[float]]]:
    """What is measured in each round."""
    names = count()

    def of(start: Callable[[Path], AbstractContextManager[Server]]) -> Callable[[], list[float]]:
        def measure() -> list[float]:
            with start(folder / f"run{next(names)}") as server:
                return resident(server, marks)

        return measure

    return {"darkroom": of(darkroom), "bare FastAPI service": of(lambda place: bare(place, place / "bare.db"))}


def main() -> None:
    given = report.parsed(report.parser("memory", __doc__))
    marks = QUICK_MARKS if given.quick else MARKS
    columns = ["MiB", *(f"after {mark:,}" for mark in marks), f"{marks[-1]:,} : {marks[-2]:,}"]
    with report.workplace() as folder:
        named = measures(folder, marks)
        rounds = report.in_turn(given.rounds, *named.values())
        rows: list[Line] = []
        for name, several in zip(named, rounds, strict=True):
            by_mark = [list(one) for one in zip(*several, strict=True)]
            growth = report.middle_ratio(by_mark[-1], by_mark[-2])
            rows.append([name, *(report.middle(one) for one in by_mark), f"{growth:.3f}"])
        report.table("Resident memory", columns, rows)


if __name__ == "__main__":
    main()
