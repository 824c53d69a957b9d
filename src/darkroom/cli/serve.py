"""`darkroom serve`: API, workers and janitor."""

import os
import shutil
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from darkroom.cli.exits import FAILED, CommandError

if TYPE_CHECKING:
    from uvicorn import Config

    from darkroom.settings import Settings

GRACE_FOR_REQUESTS = 5


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0: any free one.", show_default="8000")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of database and pictures.", show_default="./darkroom-data")
    ] = None,
    processes: Annotated[int | None, typer.Option(help="Server processes.", show_default="1")] = None,
) -> None:
    """Start the service: API, workers and janitor. The database is made and migrated first.

    Options override the settings of the same name; `darkroom settings` lists them all.
    """
    given = {"HOST": host, "PORT": port, "DATA_DIR": data_dir, "PROCESSES": processes}
    os.environ.update({f"DARKROOM_{name}": str(value) for name, value in given.items() if value is not None})

    from darkroom import settings as settings_module
    from darkroom import telemetry
    from darkroom.cli.configuration import explained

    with explained():
        settings = settings_module.load()
        telemetry.set_up(level=settings.log_level, style=settings.log_format)
    listener = _bind(settings.host, settings.port)
    with explained():
        models = _prepare(settings)
    _greet(settings, listener.getsockname()[1], models)
    _listen(settings, listener)


def _bind(host: str, port: int) -> socket.socket:
    """The address, taken but not yet answering. Child processes may inherit it."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise CommandError(
            f"cannot listen on {host}, port {port}: {error.strerror}; choose another with --port", FAILED
        ) from error
    listener.set_inheritable(True)
    return listener


def _prepare(settings: "Settings") -> str:
    """See that the database is up to date, or bring it there, and that every setting can be followed.

    Returns which models can be used, in a line.
    """
    import asyncio

    from darkroom.cli.models import in_a_line
    from darkroom.db import schema
    from darkroom.wiring import open_engine, warn_of_what_is_missing

    async def prepare() -> str:
        async with open_engine(settings) as engine:
            await (schema.upgrade if settings.migrate else schema.require)(engine.database)
            models = list(engine.catalogue)
        warn_of_what_is_missing(settings, models)
        return in_a_line(models, settings.default_model)

    return asyncio.run(prepare())


def _listen(settings: "Settings", listener: socket.socket) -> None:
    import uvicorn

    from darkroom.asgi import application

    config = uvicorn.Config(
        "darkroom.asgi:app" if settings.processes > 1 else application(settings),
        factory=settings.processes > 1,
        host=settings.host,
        port=settings.port,
        workers=settings.processes,
        timeout_graceful_shutdown=GRACE_FOR_REQUESTS,
        access_log=False,
        server_header=False,
        log_config=None,
    )
    if settings.processes > 1:
        _supervise(config, listener, settings.data_dir / f"metrics-{listener.getsockname()[1]}")
    else:
        _run(config, listener)


def _run(config: "Config", listener: socket.socket) -> None:
    import uvicorn

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)  # uvicorn raises the signal again once it has stopped
    server = uvicorn.Server(config)
    server.run(sockets=[listener])
    sys.exit(0 if server.started else FAILED)


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


def _supervise(config: "Config", listener: socket.socket, counts: Path) -> None:
    """Run several processes, which count into one folder: whichever is scraped tells of all."""
    from uvicorn.supervisors import Multiprocess

    shutil.rmtree(counts, ignore_errors=True)  # of an earlier run
    counts.mkdir(parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(counts)
    Multiprocess(config, sockets=[listener]).run()


def _greet(settings: "Settings", port: int, models: str) -> None:
    from rich.console import Console

    from darkroom import __version__
    from darkroom.db.session import open_database
    from darkroom.wiring import storage_of

    address = settings.model_copy(update={"port": port}).links_start_with
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"""
[bold]Darkroom {__version__}[/bold]  {address}
  reference  {address}/docs
  database   {open_database(settings.database).location}
  pictures   {storage_of(settings).location}
  models     {models}

Try it:
  [bold]curl -H 'Content-Type: application/json' -H 'Prefer: wait' {address}/media/generate \\
       -d '{{"prompt": "a lighthouse at dusk"}}'[/bold]
  [bold]darkroom generate "a lighthouse at dusk" --server {address} -o out/[/bold]
""")
