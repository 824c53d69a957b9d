"""The processes that are measured: `darkroom serve`, and the bare service beside it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil

from benchmarks.load import ROOT

START_SECONDS = 60.0
PARKING = """
builtin_models = true
default_model = "dummy"
job_timeout = 7200

[lanes.parking]
concurrency = 1

[models.parked]
lane = "parking"
routes = [{ provider = "dummy" }]
"""
"""A `darkroom.toml` with a model, `parked`, in whose lane `park` can make everything wait."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server with its children."""

    port: int
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        times = [one.cpu_times() for one in self._all()]
        return sum(one.user + one.system for one in times)

    def resident(self) -> float:
        """Resident memory in MiB."""
        return sum(one.memory_info().rss for one in self._all()) / 2**20

    def proportional(self) -> float:
        """Memory in MiB, where a page that several processes share counts once."""
        return sum(one.memory_full_info().pss for one in self._all()) / 2**20

    def client(self) -> httpx2.Client:
        """A client of it."""
        return httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60, verify=False, trust_env=False)

    def kill(self) -> None:
        """End it at once: nothing is measured of its stopping."""
        for one in self._all():
            one.kill()
        self.process.wait()

    def _all(self) -> list[psutil.Process]:
        return [*self.process.children(recursive=True), self.process]


@contextmanager
def darkroom(folder: Path, settings: Mapping[str, object] | None = None, *, config: str = "") -> Iterator[Server]:
    """`darkroom serve` with its data in `folder`: `settings` by name in capitals, `config` as `darkroom.toml`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "darkroom.toml").write_text(config)
    port = free_port()
    ours = {"PORT": port, "DATA_DIR": folder / "data", "LOG_LEVEL": "warning", **(settings or {})}
    environment = {f"DARKROOM_{name}": str(value) for name, value in ours.items()}
    with answering([sys.executable, "-m", "darkroom", "serve"], folder, port, environment) as server:
        yield server


@contextmanager
def bare(folder: Path, database: Path) -> Iterator[Server]:
    """The bare service on a SQLite file."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.bare", str(port), str(database)]
    with answering(command, folder, port, {"PYTHONPATH": str(ROOT)}) as server:
        yield server


@contextmanager
def answering(command: list[str], folder: Path, port: int, more: Mapping[str, str]) -> Iterator[Server]:
    """The process of `command`, once it answers on `port`."""
    with _running(command, folder, port, more) as server:
        until(lambda: answers(server.port), meanwhile=lambda: _fail_if_ended(server, folder))
        yield server


@contextmanager
def saying(words: str, command: list[str], folder: Path, more: Mapping[str, str]) -> Iterator[Server]:
    """The process of `command`, once it has written `words` into its log."""
    with _running(command, folder, 0, more) as server:
        log = folder / "server.log"
        until(lambda: words in log.read_text(), meanwhile=lambda: _fail_if_ended(server, folder))
        yield server


@contextmanager
def _running(command: list[str], folder: Path, port: int, more: Mapping[str, str]) -> Iterator[Server]:
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**clean_environment(), "TMPDIR": str(folder), **more}  # what is killed cleans nothing up
    with (folder / "server.log").open("ab") as log:
        started = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    server = Server(port, psutil.Process(started.pid))
    try:
        yield server
    finally:
        server.kill()
        started.wait()


def clean_environment() -> dict[str, str]:
    """The environment without settings of Darkroom."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DARKROOM_")}


def _fail_if_ended(server: Server, folder: Path) -> None:
    if server.process.status() == psutil.STATUS_ZOMBIE:
        raise RuntimeError((folder / "server.log").read_text())


def answers(port: int) -> bool:
    """Whether /healthz is answered with 200."""
    request = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(request)
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def until(
    condition: Callable[[], object], *, every: float = 0.005, meanwhile: Callable[[], None] | None = None
) -> None:
    """Return once `condition` holds; raise `TimeoutError` if that takes longer than a minute."""
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {START_SECONDS:g} s")
        if meanwhile is not None:
            meanwhile()
        time.sleep(every)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def park(server: Server, processes: int = 1) -> None:
    """Occupy the one worker that each server process has for the model `parked`; see `PARKING`."""
    hold = {"prompt": "hold the lane", "model": "parked", "parameters": {"delay": 3600}}
    with server.client() as client:
        holding = [str(_posted(client, hold)["id"]) for _ in range(processes)]
        until(lambda: all(_status(client, media_id) == "PROCESSING" for media_id in holding), every=0.05)


def wait_until_idle(client: httpx2.Client) -> None:
    """Return once the list shows no media that is queued or running."""
    for status in ("IN_QUEUE", "PROCESSING"):
        while client.get("/media", params={"status": status, "limit": 1}).json()["items"]:
            time.sleep(0.025)


def _posted(client: httpx2.Client, request: Mapping[str, Any]) -> dict[str, Any]:
    answer = client.post("/media/generate", json=dict(request))
    answer.raise_for_status()
    media: dict[str, Any] = answer.json()
    return media


def _status(client: httpx2.Client, media_id: str) -> str:
    return str(client.get(f"/media/{media_id}").json()["status"])
