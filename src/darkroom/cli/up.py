"""`darkroom up`: the whole distributed stack on one machine, without containers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from darkroom.cli.backing import Broker, Part, Variables
from darkroom.cli.exits import FAILED, INTERRUPTED, CommandError

if TYPE_CHECKING:
    from darkroom.stack.server import Server
    from darkroom.stack.supervisor import Supervisor

LOOK_EVERY = 0.5
BEYOND_GRACE = 15.0
"""Seconds to end, beyond those that the settings give to requests and jobs."""
FOR_SERVICES = 30.0
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Stop(Exception):
    """SIGTERM or Ctrl-C."""


def up(
    port: Annotated[int | None, typer.Option(help="Port of the API.", show_default="8000")] = None,
    data_dir: Annotated[Path, typer.Option(help="Folder of all data and logs.")] = Path("darkroom-stack"),
    api_processes: Annotated[int, typer.Option(min=1, max=64, help="Server processes of the API.")] = 2,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 2,
    broker: Annotated[
        Broker | None, typer.Option(help="Broker to start.", show_default="rabbitmq if it is installed")
    ] = None,
) -> None:
    """Run the whole distributed stack on this machine, without containers, until Ctrl-C; for trying it.

    PostgreSQL, a broker and an S3 server are started from what is installed, the API and the workers on top of them.
    What DARKROOM_DATABASE_URL, DARKROOM_BROKER_URL or DARKROOM_STORAGE_URL name is used instead. It answers on
    127.0.0.1 only. The data stay: started again, it goes on. A second Ctrl-C ends it at once.
    """
    from darkroom.cli import backing
    from darkroom.cli.configuration import load_settings

    settings, folder = load_settings(), data_dir.absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(folder), _until_stopped() as supervisor:
        parts = backing.parts(settings, folder, broker)
        supervisor.start([part.service for part in parts if part.service], patience=FOR_SERVICES)
        environment = _environment(folder, parts)
        _migrate(environment)
        patience = settings.drain + settings.stop_grace + BEYOND_GRACE
        api = _api(folder, environment, port or settings.port, api_processes)
        supervisor.start([api], patience=patience)
        working = [_worker(folder, environment, number) for number in range(1, workers + 1)]
        supervisor.start(working, patience=patience)
        _show(parts, [api, *working])
        while True:
            time.sleep(LOOK_EVERY)
            supervisor.look()


def _environment(folder: Path, parts: list[Part]) -> Variables:
    """What our processes get: all that we have, and where the parts are that were started."""
    environment = {**os.environ, "DARKROOM_HOST": "127.0.0.1", "DARKROOM_DATA_DIR": str(folder)}
    for part in parts:
        environment |= part.variables()
    return environment


def _migrate(environment: Variables) -> None:
    command = [sys.executable, "-m", "darkroom", "db", "upgrade"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise CommandError(done.stderr.removeprefix("darkroom: "), done.returncode)


def _api(folder: Path, environment: Variables, port: int, processes: int) -> "Server":
    from darkroom.stack.server import Server

    words = ["serve", "--processes", str(processes)]
    return Server(
        "api", words, folder / "api", environment=environment, port_as="DARKROOM_PORT", cwd=Path.cwd(), port=port
    )


def _worker(folder: Path, environment: Variables, number: int) -> "Server":
    from darkroom.stack.server import Server

    name = f"worker-{number}"
    return Server(
        name, ["worker"], folder / name, environment=environment, port_as="DARKROOM_WORKER_PORT", cwd=Path.cwd()
    )


def _show(parts: list[Part], servers: list["Server"]) -> None:
    """What runs where."""
    from darkroom.cli import shown

    table = shown.table("part", "where", "pid", "log")
    for part in parts:
        service = part.service
        table.add_row(part.name, part.where, str(service.pid) if service else "", str(service.log) if service else "")
    for server in servers:
        table.add_row(server.name, server.address, str(server.pid), str(server.log))
    shown.console().print(table)
    command = f'darkroom generate "a lighthouse at dusk" --server {servers[0].address} -o out/'
    typer.echo(f"\nTry it, and stop it with Ctrl-C:\n  {command}")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder: two at once would start the same servers."""
    import fcntl  # not on every system, and no other command needs it

    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(f"another `darkroom up` runs in {folder}", FAILED) from None
        yield


@contextmanager
def _until_stopped() -> Iterator["Supervisor"]:
    """A supervisor; however the context is left, it ends all its processes. A signal leaves it, and is no error."""
    from darkroom.stack.supervisor import Supervisor

    supervisor = Supervisor(lambda line: typer.echo(f"darkroom: {line}", err=True))
    for number in SIGNALS:
        signal.signal(number, _stop)
    try:
        yield supervisor
    except _Stop:
        typer.echo("darkroom: stopping; Ctrl-C again ends it at once", err=True)
    finally:
        _end(supervisor)


def _end(supervisor: "Supervisor") -> None:
    try:
        supervisor.stop()
    except _Stop:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        supervisor.kill()
        raise CommandError("ended at once", INTERRUPTED) from None


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stop
