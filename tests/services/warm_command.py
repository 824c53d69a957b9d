"""A process that has imported all that the command needs, from which commands are forked; run by `services.command`.

Each connection to the socket (whose path is the first argument) brings one: its words, folder and variables, and its
standard streams. What is answered is its process id, then its exit code.
"""

import gc
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import alembic.command  # noqa: F401
import asyncpg  # noqa: F401
import h11  # noqa: F401
import httpcore2  # noqa: F401
import truststore  # noqa: F401

import darkroom.cli.examination
import darkroom.cli.local
import darkroom.providers.comfyui
import darkroom.providers.fal
import darkroom.providers.openai
import darkroom.providers.recipe
import darkroom.providers.replicate
import darkroom.providers.sketch  # noqa: F401
from darkroom.cli import main
from darkroom.providers import http


def wait_for_command(listener: socket.socket) -> None:
    """Return in each process that is to become a command."""
    while True:
        connection, _ = listener.accept()
        if os.fork():
            connection.close()
            continue
        listener.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        request, streams, _, _ = socket.recv_fds(connection, 1 << 20, 3)
        if not request:  # somebody asks whether this listens
            os._exit(0)
        if (child := os.fork()) == 0:
            connection.close()
            become(json.loads(request), streams)
            return
        for stream in streams:
            os.close(stream)
        connection.send(str(child).encode())
        _, status = os.waitpid(child, 0)
        with suppress(BrokenPipeError):
            connection.send(str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)


def become(request: dict[str, object], streams: list[int]) -> None:
    """Be what the request asks for, but for `main`."""
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(str(request["folder"]))
    sys.path[:2] = [str(request["folder"])]  # instead of the folder that this was started in, and of the tests
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[arg-type]
    sys.argv[1:] = request["words"]  # type: ignore[call-overload]


if __name__ == "__main__":
    http._tls()
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a fork would lack the other threads"
    gc.freeze()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as opened:
        opened.bind(sys.argv[1])
        opened.listen()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        wait_for_command(opened)
    main()
