"""Our own processes, which answer over HTTP."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from darkroom.stack.service import HOST, Service, converse

_REQUEST = f"GET /healthz HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()


class Server(Service):
    """`darkroom serve` or `darkroom worker`, in the folder `cwd`, told its port by the variable `port_as`."""

    def __init__(
        self,
        name: str,
        words: Sequence[str],
        folder: Path,
        *,
        environment: Mapping[str, str],
        port_as: str,
        cwd: Path,
        port: int | None = None,
    ) -> None:
        super().__init__(name, folder, port)
        self.command = [sys.executable, "-m", "darkroom", *words]
        self.environment = {**environment, port_as: str(self.port)}
        self.cwd = cwd

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}"

    def answers(self) -> bool:
        """Whether it says that it is well."""
        return converse(self.port, _REQUEST, expected=b"HTTP/1.1 200")
