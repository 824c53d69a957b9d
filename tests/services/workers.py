"""The real `darkroom worker`, as a process of its own."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from darkroom.stack.process import Process
from services.server import eventually, keep

START_SECONDS = 60.0


class WorkerProcess(Process):
    """A worker, with the settings of the service that it works for."""

    def start(self) -> None:
        """Start it and wait until its engine runs."""
        self.launch()
        eventually(lambda: self.events("worker_started") or not self.alive, within=START_SECONDS)
        assert self.alive, self.text

    @property
    def text(self) -> str:
        """All that it wrote."""
        return self.log.read_text(errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Its lines of one kind."""
        lines = [json.loads(line) for line in self.text.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    @property
    def node(self) -> str:
        """Its name among Celery's nodes."""
        name: str = self.events("worker_started")[-1]["node"]
        return name

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it alone."""
        assert self.pid is not None
        os.kill(self.pid, number)

    def ends(self, *, within: float = 30.0) -> int:
        """The exit code, once it has ended."""
        eventually(lambda: self.exit_code is not None, within=within)
        assert self.exit_code is not None
        return self.exit_code


MakeWorker = Callable[..., WorkerProcess]


@pytest.fixture
def make_worker(tmp_path: Path) -> Iterator[MakeWorker]:
    """Make workers, not yet started: `make_worker("--concurrency", 3, lease=1)` with settings by name."""
    made: list[WorkerProcess] = []

    def make(*words: object, command: tuple[str, ...] = ("darkroom", "worker"), **settings: object) -> WorkerProcess:
        ours = {"data_dir": tmp_path / "data", "log_format": "json", "poll_interval": 0.1} | settings
        environment = {name: value for name, value in os.environ.items() if keep(name)}
        environment |= {f"DARKROOM_{name.upper()}": _as_variable(value) for name, value in ours.items()}
        worker = WorkerProcess(
            f"worker{len(made)}",
            [sys.executable, "-m", *command, *map(str, words)],
            tmp_path / "workers",
            environment=environment,
        )
        made.append(worker)
        return worker

    yield make
    for worker in made:
        worker.kill()


def _as_variable(value: object) -> str:
    return json.dumps(value) if isinstance(value, dict | list) else str(value)
