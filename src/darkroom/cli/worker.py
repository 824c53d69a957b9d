"""`darkroom worker`: makes the pictures, where a broker hands out the work."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from darkroom.cli.exits import REFUSED, CommandError

if TYPE_CHECKING:
    from darkroom.settings import Settings


def worker(
    lanes: Annotated[str | None, typer.Option(help="Lanes to serve, such as default,gpu.", show_default="all")] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Jobs at once, whatever the lane.", show_default="as each lane says"),
    ] = None,
    loglevel: Annotated[str | None, typer.Option(help="Least important kind of line.", show_default="info")] = None,
) -> None:
    """Start a worker: run the jobs that the API accepts. It needs a broker; without one `darkroom serve` works itself.

    SIGTERM lets running jobs end for a while, then gives them to other workers; a second one does so at once.
    """
    if loglevel is not None:
        os.environ["DARKROOM_LOG_LEVEL"] = loglevel

    from darkroom import settings as settings_module
    from darkroom import telemetry
    from darkroom.cli.configuration import explained

    with explained():
        settings = settings_module.load()
    telemetry.set_up(level=settings.log_level, style=settings.log_format)
    if settings.broker_url is None:
        raise CommandError("there is no broker to fetch work from: set DARKROOM_BROKER_URL", REFUSED)
    raise typer.Exit(_run(settings, _known(lanes, settings), concurrency))


def _known(lanes: str | None, settings: "Settings") -> list[str]:
    """The lanes that are meant."""
    if lanes is None:
        return list(settings.lanes)
    named = [name.strip() for name in lanes.split(",") if name.strip()]
    unknown = [name for name in named if name not in settings.lanes]
    if unknown or not named:
        known = ", ".join(settings.lanes)
        raise CommandError(f"--lanes: there is no lane {', '.join(unknown) or 'named'}; known: {known}", REFUSED)
    return named


def _run(settings: "Settings", lanes: list[str], concurrency: int | None) -> int:
    """Work until a signal; the exit code. Celery's own lines are for looking into Celery."""
    import socket
    import warnings

    from celery.platforms import SecurityWarning

    from darkroom.celery_app import app_of

    warnings.simplefilter("ignore", SecurityWarning)  # of workers that run as root, but those that unpickle

    process = app_of(settings, lanes=lanes, concurrency=concurrency).Worker(
        hostname=f"{os.getpid()}@{socket.gethostname()}",
        loglevel="DEBUG" if settings.log_level == "debug" else "WARNING",
        quiet=True,
        without_mingle=True,
        without_gossip=True,
    )
    process.start()
    return int(process.exitcode or 0)
