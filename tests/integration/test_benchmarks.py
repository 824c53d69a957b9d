"""Every benchmark runs, in its short form. What it measures then says nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FIRST_COLUMN = {
    "callers": ["one server process", "2 server processes", "bare FastAPI route"],
    "jobs": ["burst of 100", "paced at 100/s", "bare loop, one row a commit", "picture work alone, all cores"],
    "distributed": ["darkroom", "bare FastAPI + Celery"],
    "memory": ["darkroom", "bare FastAPI service"],
    "pictures": ["sketch, drawn and encoded", "developed"],
    "requests": ["POST", "GET status of a job", "GET a media", "GET list, q rare + status"],
    "watchers": ["darkroom", "bare FastAPI service"],
    "start": ["darkroom serve, fresh data folder", "darkroom --help"],
    "waiting": ["darkroom worker"],
}


DISTRIBUTED = ("distributed", "waiting")


@pytest.mark.parametrize("name", FIRST_COLUMN)
def test_a_benchmark_prints_its_table(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick"]
    if name in DISTRIBUTED:
        services = {"--database-url": "postgres_server", "--broker-url": "rabbitmq_url"}
        command += [f"{option}={request.getfixturevalue(fixture)}" for option, fixture in services.items()]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "cores" in done.stdout.splitlines()[0]
    printed = [line.split("|")[1].strip() for line in done.stdout.splitlines() if line.startswith("| ")]
    assert set(FIRST_COLUMN[name]) <= set(printed)
    assert list(tmp_path.iterdir()) == []


def test_every_benchmark_is_tried_here() -> None:
    commands = {path.stem for path in (ROOT / "benchmarks").glob("*.py") if "report.parser(" in path.read_text()}
    assert commands == set(FIRST_COLUMN)
