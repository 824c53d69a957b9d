"""The bare work of a job without a service around it: no HTTP, no leases, no history.

echo '{"picture": "a.png", "folder": "/var/tmp/x", "jobs": 2000, "group": 50}' | python -m benchmarks.loops
"""

import asyncio
import hashlib
import io
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from uuid import uuid4

from PIL import Image

from benchmarks.load import ROOT
from darkroom.imaging import Description, Developer

AHEAD = 64


@dataclass(frozen=True, slots=True)
class Loop:
    """`jobs` times `picture`. `group`: rows a commit; 0: only the picture work, nothing is stored."""

    picture: str
    folder: str
    jobs: int
    group: int


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast it went, and what it cost: `cpu` in milliseconds a job."""

    rate: float
    cpu: float


def run(loop: Loop) -> Pace:
    """Run `loop` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.loops"]
    done = subprocess.run(
        command, input=json.dumps(asdict(loop)), stdout=subprocess.PIPE, text=True, cwd=ROOT, check=True
    )
    return Pace(**json.loads(done.stdout))


def store(loop: Loop) -> None:
    """Insert a row, decode the picture, write it durably, update the row.

    Pictures are decoded and written in one thread a core, at most 64 jobs begun and not ended. A commit holds
    up to `group` rows, never waiting for more to come.
    """
    content, folder = Path(loop.picture).read_bytes(), Path(loop.folder)
    ended: SimpleQueue[Future[str]] = SimpleQueue()
    with closing(_database(folder)) as database, ThreadPoolExecutor(os.cpu_count()) as pool:
        begun = done = 0
        while done < loop.jobs:
            new = [uuid4().hex for _ in range(min(loop.group, loop.jobs - begun, AHEAD - (begun - done)))]
            _commit(database, "INSERT INTO jobs VALUES (?, 'queued', NULL)", [(one,) for one in new])
            for one in new:
                pool.submit(_keep, folder, one, content).add_done_callback(ended.put)
            begun += len(new)
            if begun - done >= AHEAD or begun == loop.jobs:
                finished = _take(ended, loop.group)
                _commit(database, "UPDATE jobs SET state = 'done', sha256 = ? WHERE id = ?", finished)
                done += len(finished)


def _database(folder: Path) -> sqlite3.Connection:
    database = sqlite3.connect(folder / "loop.db", isolation_level=None)
    for statement in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "CREATE TABLE jobs (id TEXT PRIMARY KEY, state TEXT NOT NULL, sha256 TEXT)",
    ):
        database.execute(statement)
    return database


def _commit(database: sqlite3.Connection, statement: str, rows: Iterable[tuple[str, ...]]) -> None:
    values = list(rows)
    if values:
        database.execute("BEGIN IMMEDIATE")
        database.executemany(statement, values)
        database.execute("COMMIT")


def _take(ended: "SimpleQueue[Future[str]]", most: int) -> list[tuple[str, ...]]:
    taken = [ended.get()]
    while len(taken) < most and not ended.empty():
        taken.append(ended.get())
    return [tuple(future.result().split()) for future in taken]


def _keep(folder: Path, name: str, content: bytes) -> str:
    """Decode, hash, write, fsync, rename, fsync the folder."""
    Image.open(io.BytesIO(content)).load()
    temporary, target = folder / f"{name}.tmp", folder / name / "0.png"
    with temporary.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    target.parent.mkdir()
    temporary.replace(target)
    for place in (target.parent, folder):
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(descriptor)
        os.close(descriptor)
    return f"{hashlib.sha256(content).hexdigest()} {name}"


def develop(loop: Loop) -> None:
    """Check, describe and shrink the picture as Darkroom does, one thread a core."""
    content = Path(loop.picture).read_bytes()
    description = Description("a lighthouse at dusk", "dummy", 7, {"n": 1})

    async def some(developer: Developer, numbers: Iterable[int]) -> None:
        for _ in numbers:
            await developer.develop(content, output_format=None, description=description)

    async def everything() -> None:
        developer, numbers = Developer(), iter(range(loop.jobs))
        await asyncio.gather(*(some(developer, numbers) for _ in range(2 * (os.cpu_count() or 1))))
        await developer.aclose()

    asyncio.run(everything())


def main() -> None:
    loop = Loop(**json.load(sys.stdin))
    begin, cpu = time.perf_counter(), time.process_time()
    (store if loop.group else develop)(loop)
    wall, spent = time.perf_counter() - begin, time.process_time() - cpu
    json.dump(asdict(Pace(loop.jobs / wall, spent / loop.jobs * 1000)), sys.stdout)


if __name__ == "__main__":
    main()
