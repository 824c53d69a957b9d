"""Memory of one worker process while 1,000 jobs wait for a backend: no picture work, every job held and leased.

The worker serves models of hosted backends only, as `dummy` pretends to be one: those that draw themselves load numpy.
PSS counts what is shared with other processes in part.
"""

import asyncio
import json
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg  # type: ignore[import-untyped]

from benchmarks import databases, load, report
from benchmarks.databases import fresh_postgres
from benchmarks.load import Plan
from benchmarks.servers import answering, free_port, saying, until

JOBS = 1000
QUICK_JOBS = 20
BODY = json.dumps({"prompt": "a lighthouse at dusk", "model": "dummy", "parameters": {"delay": 3600}})
HOSTED = 'builtin_models = false\ndefault_model = "dummy"\n[models.dummy]\nroutes = [{ provider = "dummy" }]\n'


@dataclass(frozen=True, slots=True)
class Measured:
    """MiB: resident when idle, resident and PSS with all jobs waiting."""

    idle: float
    resident: float
    proportional: float


def measure(place: Path, jobs: int, broker: str, postgres: str) -> Measured:
    """Start an API and a worker, and have `jobs` jobs wait."""
    place.mkdir()
    (place / "darkroom.toml").write_text(HOSTED)
    with ExitStack() as stack:
        database, port = stack.enter_context(fresh_postgres(postgres)), free_port()
        ours = {
            "PORT": port, "DATA_DIR": place / "data", "LOG_LEVEL": "info", "DATABASE_URL": database,
            "BROKER_URL": broker, "BROKER_QUEUE_PREFIX": f"benchmark-{uuid4().hex[:8]}", "STOP_GRACE": 0,
        }  # fmt: skip
        environment = {f"DARKROOM_{name}": str(value) for name, value in ours.items()}
        command = [sys.executable, "-m", "darkroom"]
        stack.enter_context(answering([*command, "serve"], place, port, environment))
        works = [*command, "worker", "--concurrency", str(jobs)]
        worker = stack.enter_context(saying("worker_started", works, place, environment))
        idle = worker.resident()
        load.run(Plan(port, ["/media/generate"], "POST", BODY, count=jobs, expect=202))
        until(lambda: running(database) == jobs, every=0.2)
        return Measured(idle, worker.resident(), worker.proportional())


def running(database: str) -> int:
    """How many jobs are in work."""

    async def count() -> int:
        connection = await asyncpg.connect(database)
        try:
            return int(await connection.fetchval("SELECT count(*) FROM jobs WHERE state = 'running'"))
        finally:
            await connection.close()

    return asyncio.run(count())


def main() -> None:
    options = report.parser("waiting", __doc__)
    databases.add_options(options)
    given = report.parsed(options)
    jobs = QUICK_JOBS if given.quick else JOBS
    with report.workplace() as folder:
        rounds = [measure(folder / f"run{n}", jobs, given.broker_url, given.database_url) for n in range(given.rounds)]
        idle, resident, proportional = (
            report.median(rounds, column) for column in ("idle", "resident", "proportional")
        )
        each = f"{(resident - idle) * 1024 / jobs:.0f}"
        columns = ["MiB", "idle", f"{jobs:,} waiting", "the same, PSS", "KiB a job"]
        title = f"One worker on {databases.kind_of(given.broker_url)}"
        report.table(title, columns, [["darkroom worker", idle, resident, proportional, each]])


if __name__ == "__main__":
    main()
