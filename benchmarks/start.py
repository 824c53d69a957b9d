"""From the command to the first answer of /healthz, in a fresh data folder and in one that is there; and --help.

The partner is a Python that only imports the two largest dependencies.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from benchmarks import report
from benchmarks.report import Line
from benchmarks.servers import bare, clean_environment, darkroom

COLUMNS = ("", "ms", "of the imports")
IMPORTS = [sys.executable, "-c", "import fastapi, sqlalchemy"]
HELP = [sys.executable, "-m", "darkroom", "--help"]


def command(arguments: list[str]) -> float:
    """Milliseconds that a command takes."""
    begin = time.perf_counter()
    subprocess.run(arguments, stdout=subprocess.DEVNULL, env=clean_environment(), check=True)
    return (time.perf_counter() - begin) * 1000


def serve(folder: Path) -> float:
    """Milliseconds from starting `darkroom serve` until it answers."""
    begin = time.perf_counter()
    with darkroom(folder):
        return (time.perf_counter() - begin) * 1000


def serve_bare(folder: Path) -> float:
    """The same of the bare service."""
    begin = time.perf_counter()
    with bare(folder, folder / "bare.db"):
        return (time.perf_counter() - begin) * 1000


def measures(folder: Path) -> dict[str, Callable[[], float]]:
    """What is measured in each round; the last is the partner."""
    fresh = count()
    return {
        "darkroom serve, fresh data folder": lambda: serve(folder / f"fresh{next(fresh)}"),
        "darkroom serve, existing data folder": lambda: serve(folder / "fresh0"),
        "darkroom --help": lambda: command(HELP),
        "bare FastAPI service": lambda: serve_bare(folder / "bare"),
        "python -c 'import fastapi, sqlalchemy'": lambda: command(IMPORTS),
    }


def main() -> None:
    given = report.parsed(report.parser("start", __doc__))
    with report.workplace() as folder:
        named = measures(folder)
        for warm in (HELP, IMPORTS):
            command(warm)
        rounds = report.in_turn(given.rounds, *named.values())
        rows: list[Line] = [
            [name, report.middle(times), f"{report.middle_ratio(times, rounds[-1]):.2f}"]
            for name, times in zip(named, rounds, strict=True)
        ]
        report.table("Time to start", COLUMNS, rows)


if __name__ == "__main__":
    main()
