"""Rounds in turn, medians, and tables that can be pasted into Markdown."""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")
Line = list[str | float | None]
"""A row of a table: its name, then its cells."""


def parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    options = argparse.ArgumentParser(prog=f"python -m benchmarks.{module}", description=description)
    options.add_argument("--rounds", type=int, default=3, help="rounds in turn, of which medians are shown")
    options.add_argument("--quick", action="store_true", help="one short round, to see that it runs")
    return options


def parsed(options: argparse.ArgumentParser) -> argparse.Namespace:
    """The options given. `--quick` means one round."""
    given = options.parse_args()
    if given.quick:
        given.rounds = 1
    return given


def in_turn(rounds: int, *measures: Callable[[], T]) -> list[list[T]]:
    """A B A B A B: so that what drifts, drifts under all alike. One list a measure, in the order of rounds."""
    results: list[list[T]] = [[] for _ in measures]
    for n in range(rounds):
        for measure, collected in zip(measures, results, strict=True):
            collected.append(measure())
        if len(measures) * rounds > 1 and sys.stderr.isatty():
            print(f"round {n + 1} of {rounds} is done", file=sys.stderr)
    return results


def median(rounds: Sequence[object], name: str) -> float:
    """The median of an attribute."""
    return middle(_values(rounds, name))


def ratio(ours: Sequence[object], theirs: Sequence[object], name: str) -> float:
    """The median, over the rounds, of an attribute of ours divided by theirs of the same round."""
    return middle_ratio(_values(ours, name), _values(theirs, name))


def middle(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def middle_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median, over the rounds, of ours divided by theirs of the same round."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def _values(rounds: Sequence[object], name: str) -> list[float]:
    return [getattr(value, name) for value in rounds]


def table(title: str, columns: Sequence[str], rows: Sequence[Line]) -> None:
    """Print a Markdown table; None shows as a dash."""
    cells = [list(columns), *([_shown(cell) for cell in row] for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(columns))]
    aligned = ["| " + " | ".join(map(_aligned, row, widths, range(len(row)))) + " |" for row in cells]
    rule = "|" + "|".join(("-" * (width + 1) + (":" if n else "-")) for n, width in enumerate(widths)) + "|"
    print(f"\n{title}\n\n" + "\n".join([aligned[0], rule, *aligned[1:]]), flush=True)


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column else cell.ljust(width)


def _shown(cell: str | float | None) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, str):
        return cell
    return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.3g}" if abs(cell) >= 1 else f"{cell:.2f}"


@contextmanager
def workplace() -> Iterator[Path]:
    """A temporary folder; the machine's facts are printed first."""
    with tempfile.TemporaryDirectory(prefix="darkroom-benchmark-") as folder:
        print(machine(Path(folder)), flush=True)
        yield Path(folder)


def machine(folder: Path) -> str:
    """What the figures were measured on."""
    python = f"Python {platform.python_version()}"
    memory = f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
    disk = f"{_file_system(folder)}, an fsync takes {fsync_time(folder) * 1000:.2f} ms"
    load = f"load before {os.getloadavg()[0]:.1f}"
    return f"{os.cpu_count()} cores ({platform.machine()}), {memory}, {platform.system()}, {python}, {disk}, {load}"


def _file_system(folder: Path) -> str:
    holding = [part for part in psutil.disk_partitions(all=True) if folder.is_relative_to(part.mountpoint)]
    return max(holding, key=lambda part: len(part.mountpoint)).fstype if holding else "unknown disk"


def fsync_time(folder: Path) -> float:
    """The median time in seconds that it takes to have 4 kB on disk."""
    times = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(50):
            begin = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - begin)
    return statistics.median(times)
