"""What ONE caller waits, with one and with four server processes.

It guards a trap: a server process whose connections lack TCP_NODELAY answers after 40 ms, the time that the other
side's kernel takes to acknowledge the first half of the answer.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import load, report
from benchmarks.load import Outcome, Plan
from benchmarks.report import Line
from benchmarks.servers import PARKING, Server, bare, darkroom, park

SEVERAL = 4
TRAP = 40.0
COLUMNS = ("", "p50 ms", "p99 ms", "longest ms", "p50, of bare", "trap")
BODY = json.dumps({"prompt": "a lighthouse at dusk, long exposure, grainy film", "model": "parked"})


@dataclass(frozen=True, slots=True)
class Target:
    """A running server, and a job to ask it about."""

    name: str
    server: Server
    job_id: str


def target(name: str, server: Server) -> Target:
    """`server`, with a job made on it."""
    with server.client() as client:
        answer = client.post("/media/generate", content=BODY, headers={"Content-Type": "application/json"})
        answer.raise_for_status()
        return Target(name, server, answer.json()["job_id"])


def compare(title: str, plan: Plan, targets: list[Target], rounds: int) -> None:
    """Print what a lone caller waits at each of `targets`, the last of which is the bare one."""
    measures = [_measure(plan, one) for one in targets]
    results = report.in_turn(rounds, *measures)
    rows = [_row(one.name, seen, results[-1]) for one, seen in zip(targets, results, strict=True)]
    report.table(title, COLUMNS, rows)


def _measure(plan: Plan, one: Target) -> Callable[[], Outcome]:
    paths = [path.format(job_id=one.job_id) for path in plan.paths]
    return lambda: load.run(replace(plan, port=one.server.port, paths=paths))


def _row(name: str, seen: list[Outcome], bares: list[Outcome]) -> Line:
    p50, p99, longest = (report.median(seen, column) for column in ("p50", "p99", "longest"))
    return [name, p50, p99, longest, f"{report.ratio(seen, bares, 'p50'):.2f}", "CAUGHT" if p50 > TRAP else "no"]


def measure(folder: Path, processes: int, requests: int, rounds: int) -> None:
    """Start the three servers and measure both kinds of request."""
    with (
        darkroom(folder / "one", config=PARKING) as one,
        darkroom(folder / "several", {"PROCESSES": processes}, config=PARKING) as several,
        bare(folder / "bare", folder / "one" / "data" / "darkroom.db") as plain,
    ):
        park(one)
        park(several, processes)
        targets = [target("one server process", one), target(f"{processes} server processes", several)]
        targets.append(Target("bare FastAPI route", plain, targets[0].job_id))
        alone = Plan(0, [], callers=1, count=requests, warm_up=20)
        compare(
            "POST, one caller",
            replace(alone, paths=["/media/generate"], method="POST", body=BODY, expect=202),
            targets,
            rounds,
        )
        compare("Status, one caller", replace(alone, paths=["/media/jobs/{job_id}/status"]), targets, rounds)


def main() -> None:
    options = report.parser("callers", __doc__)
    options.add_argument("--requests", type=int, default=2000, help="of each kind, a round")
    given = report.parsed(options)
    with report.workplace() as folder:
        measure(folder, 2 if given.quick else SEVERAL, 100 if given.quick else given.requests, given.rounds)


if __name__ == "__main__":
    main()
