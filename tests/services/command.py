"""The real `darkroom` command, as a process of its own."""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

import pytest

from darkroom.stack.process import Process

PATIENCE = 90.0
OF_OTHER_PROCESSES = ("serve", "worker", "up")
"""What starts processes, and answers to signals: never forked, nor is what is to be watched while it runs."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which holds JSON and nothing else."""
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """What it says is wrong: one line."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("darkroom: "), self.err
        return lines[0].removeprefix("darkroom: ")


class Command:
    """`darkroom`, run in `folder` with these settings, which are variables: DARKROOM_..."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.settings = {name: str(value) for name, value in settings.items()}

    def using(self, **settings: object) -> "Command":
        """The same with other settings."""
        return Command(self.folder, **self.settings | settings)

    def __call__(self, *words: object, stdin: str = "") -> Ended:
        """Run it to its end."""
        if self._may_be_forked(words):
            return _warm().run(list(map(str, words)), self.folder, self._environment, stdin)
        process = self.start(*words)
        out, err = process.communicate(stdin, timeout=PATIENCE)
        return Ended(process.returncode, out, err)

    def good(self, *words: object, stdin: str = "") -> Ended:
        """Run it to its end, which must be a good one."""
        ended = self(*words, stdin=stdin)
        assert ended.code == 0, ended.err
        return ended

    def start(self, *words: object, **streams: Any) -> subprocess.Popen[str]:
        """Start it, a process group of its own, and do not wait."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            [sys.executable, "-m", "darkroom", *map(str, words)],
            cwd=self.folder,
            env=self._environment,
            text=True,
            start_new_session=True,
            **pipes | streams,
        )

    @property
    def _environment(self) -> dict[str, str]:
        # without the variable: where it is installed, Python keeps the bytecode
        ours = ("DARKROOM_", "PYTHONDONTWRITEBYTECODE")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return environment | {"NO_PROXY": "127.0.0.1"} | self.settings

    def _may_be_forked(self, words: tuple[object, ...]) -> bool:
        """Whether it makes no difference: nothing that Python or a library asks for as it is loaded is set."""
        if sys.platform != "linux" or not words or words[0] in OF_OTHER_PROCESSES:
            return False
        return all(name.startswith("DARKROOM_") for name in self.settings)


class _Warm:
    """A process that has imported everything, and from which commands are forked: each is spared a second of that."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="darkroom-warm-")
        self._path = f"{self._folder.name}/socket"
        path = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
        self._process = Process(
            "warm",
            [sys.executable, "-m", "services.warm_command", self._path],
            Path(self._folder.name),
            environment=os.environ | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
        )
        self._process.start()
        deadline = time.monotonic() + PATIENCE
        while not self._listens():
            assert self._process.alive, self._process.log.read_text()
            assert time.monotonic() < deadline, self._process.log.read_text()
            time.sleep(0.02)

    def run(self, words: list[str], folder: Path, environment: dict[str, str], stdin: str) -> Ended:
        """Run `darkroom` with these words to its end."""
        request = json.dumps({"words": words, "folder": str(folder), "environment": environment})
        with self._connected() as connection, _temporary() as given, _temporary() as out, _temporary() as err:
            given.write(stdin)
            given.seek(0)
            socket.send_fds(connection, [request.encode()], [given.fileno(), out.fileno(), err.fileno()])
            process = int(connection.recv(100))
            try:
                code = int(connection.recv(100))
            except TimeoutError:
                os.killpg(process, signal.SIGKILL)
                raise
            out.seek(0)
            err.seek(0)
            return Ended(code, out.read(), err.read())

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._folder.cleanup()

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.settimeout(PATIENCE)
            connection.connect(self._path)
        except OSError:
            connection.close()
            raise
        return connection

    def _listens(self) -> bool:
        with suppress(OSError):
            self._connected().close()
            return True
        return False


@cache
def _warm() -> _Warm:
    made = _Warm()
    atexit.register(made.close)
    return made


def _temporary() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8")


@pytest.fixture
def darkroom(tmp_path: Path) -> Command:
    """The command in an empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    return Command(folder)
