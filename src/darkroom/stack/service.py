"""A process that answers on a port of this machine."""

import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path

from darkroom.errors import Unavailable
from darkroom.stack.process import Process

HOST = "127.0.0.1"
_PORTS = range(15_000, 32_000)
"""Below those that systems give to connections: no connection can take the port of a service that is down."""


class Service(Process):
    """A `Process` whose port, password and data stay in `folder`: it goes on where it was.

    Each kind sets its `command`, and its `environment`, which has nothing of ours.
    """

    start_seconds = 60.0

    def __init__(self, name: str, folder: Path, port: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        super().__init__(name, [], folder.resolve(), environment={})
        self.port = port or int(kept(self.folder / "port", free_port))

    @property
    def password(self) -> str:
        """What its users have to know."""
        return kept(self.folder / "password", lambda: secrets.token_hex(16))

    def answers(self) -> bool:
        """Whether it is there for its users."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it, unless it runs, and return once it answers. Raises `Unavailable`."""
        self.launch()
        deadline = time.monotonic() + self.start_seconds
        while not self.answers():
            if not self.alive or time.monotonic() > deadline:
                self.kill()
                raise Unavailable(f"{self.name} did not start: {self._last_words()}")
            time.sleep(0.02)

    def launch(self) -> None:
        """Start it, unless it runs, and wait for nothing. Raises `Unavailable`."""
        if not self.alive and is_taken(self.port):
            raise Unavailable(f"{self.name}: port {self.port} is taken by another program")
        super().launch()

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").split("\n")
        return f"{next((line for line in reversed(lines) if line.strip()), 'it said nothing')} (see {self.log})"


def kept(path: Path, make: Callable[[], object]) -> str:
    """What is in the file `path`; made at first use."""
    if not path.exists():
        write(path, str(make()))
    return path.read_text()


def write(path: Path, text: str) -> None:
    """Write a file, whole or not at all, that nobody else may read."""
    draft = path.with_name(f"{path.name}.draft")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    while True:
        with socket.socket() as probe:
            try:
                port = secrets.choice(_PORTS)
                probe.bind((HOST, port))
            except OSError:
                continue
            return port


def is_taken(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that are closing do not count
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
        return False


def converse(port: int, words: bytes, *, expected: bytes, timeout: float = 5.0) -> bool:
    """Whether the service on `port` answers these words with what begins as `expected`."""
    try:
        with socket.create_connection((HOST, port), timeout) as connection:
            connection.settimeout(timeout)
            connection.sendall(words)
            return connection.recv(len(expected), socket.MSG_WAITALL) == expected
    except OSError:
        return False
