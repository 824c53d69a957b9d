"""The real `darkroom serve`, as a process of its own, spoken to over HTTP."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

START_SECONDS = 30.0


def keep(name: str) -> bool:
    """Whether a variable of ours is passed on. Without bytecode, a start would compile everything anew."""
    return not name.startswith("DARKROOM_") and name != "PYTHONDONTWRITEBYTECODE"


class Server:
    """A `darkroom serve` that can be killed and started again on the same address and data."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.folder = folder
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """All that its processes wrote."""
        return (self.folder / "server.log").read_text(errors="replace")

    def start(self) -> "Server":
        """Start it and wait until it answers."""
        self.launch()
        self.wait_until_alive()
        return self

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        environment = {name: value for name, value in os.environ.items() if keep(name)}
        environment |= {
            "DARKROOM_DATA_DIR": str(self.folder / "data"),
            "DARKROOM_PORT": str(self.port),
            "DARKROOM_LOG_FORMAT": "json",
            "PYTHONWARNINGS": "default",
            **self._settings,
        }
        with (self.folder / "server.log").open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "darkroom", "serve"],
                cwd=self.folder,
                env=environment,
                stdout=output,
                stderr=output,
            )

    def wait_until_alive(self) -> None:
        """Return once it answers; fail with its log if it ends first or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        with httpx2.Client(base_url=self.url, timeout=1) as client:
            while time.monotonic() < deadline:
                assert self.exit_code is None, self.log
                try:
                    if client.get("/healthz").status_code == 200:
                        return
                except httpx2.TransportError:
                    time.sleep(0.02)
        pytest.fail(f"no answer within {START_SECONDS} s:\n{self.log}")

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        assert self._process is not None
        return self._process.poll()

    @property
    def process(self) -> psutil.Process:
        """The running process."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def kill(self) -> None:
        """SIGKILL, to it and its children: what a crash or a power cut does."""
        assert self._process is not None
        for process in [*self.process.children(recursive=True), self._process]:
            process.kill()
        self._process.wait()

    def terminate(self, *, within: float = 30.0) -> int:
        """SIGTERM; return the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(within)

    def client(self, **options: object) -> httpx2.Client:
        """A client of it."""
        return httpx2.Client(base_url=self.url, timeout=30, **options)  # type: ignore[arg-type]

    def stop(self) -> None:
        """End it, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self.kill()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


MakeServer = Callable[..., Server]


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[MakeServer]:
    """Make servers, not yet started, with settings given as `port_of_something="…"` -> DARKROOM_…."""
    made: list[Server] = []

    def make(**settings: object) -> Server:
        folder = tmp_path / f"server{len(made)}"
        folder.mkdir()
        made.append(Server(folder, {f"DARKROOM_{name.upper()}": str(value) for name, value in settings.items()}))
        return made[-1]

    yield make
    for server in made:
        server.stop()


def eventually(condition: Callable[[], object], *, within: float = 20.0, every: float = 0.02) -> None:
    """Poll `condition` until it holds; fail when it has not within so many seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within} s"
        time.sleep(every)
