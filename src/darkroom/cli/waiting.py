"""Waiting for a media: with a progress bar, a limit, and Ctrl-C."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from darkroom.cli.connection import Api, Json, Refused, Unreachable
from darkroom.cli.exits import INTERRUPTED, TIMED_OUT, CommandError

if TYPE_CHECKING:
    from darkroom.cli.local import Nap

Show = Callable[[Json], None]

SHORTEST_PAUSE = 0.05
LONGEST_PAUSE = 0.5
PATIENCE = 60.0
"""Seconds that a server may be away, as when it is restarted, before waiting for it ends."""
LETTING_GO = 15.0
"""Seconds for a cancelled media to end."""
CONFLICT = 409


async def until_ended(
    api: Api, media: Json, *, show: Show, interrupt: asyncio.Event, timeout: float | None
) -> Json:  # fmt: skip
    """The media once it has ended; once interrupted, it is cancelled.

    Raises `CommandError` when `timeout` (in seconds) is over, or the server is away for too long.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout if timeout is not None else float("inf")
    pause, cancelled = SHORTEST_PAUSE, False
    async with _under_way(api, media) as nap:
        while True:
            status = await _patiently(api, f"/media/jobs/{media['job_id']}/status", until=deadline)
            show(status)
            if status["status"] in ("COMPLETED", "ERROR", "CANCELLED"):
                break
            if loop.time() >= deadline:
                raise _too_late(api, media, interrupted=cancelled)
            if interrupt.is_set() and not cancelled:
                cancelled, deadline = True, loop.time() + LETTING_GO
                await _cancel(api, media)
            await nap(min(pause, max(0.0, deadline - loop.time())))
            pause = min(LONGEST_PAUSE, pause * 1.3)
    return await _patiently(api, f"/media/{media['id']}")


@asynccontextmanager
async def _under_way(api: Api, media: Json) -> AsyncIterator["Nap"]:
    """Have the media made, here or by the server, while the context is open; its value sleeps."""
    if api.engine is None:
        yield asyncio.sleep
        return
    from uuid import UUID

    from darkroom.cli import local

    async with local.making(api.engine, UUID(media["id"])) as nap:
        yield nap


async def _patiently(api: Api, path: str, *, until: float = float("inf")) -> Json:
    """What is at `path`, also if the server is away for a moment; not later than `until`."""
    loop = asyncio.get_running_loop()
    until = min(until, loop.time() + PATIENCE)
    while True:
        try:
            return await api.get(path)
        except Unreachable:
            if loop.time() > until:
                raise
            await asyncio.sleep(LONGEST_PAUSE)


async def _cancel(api: Api, media: Json) -> None:
    try:
        await api.post(f"/media/{media['id']}/cancel")
    except Refused as error:
        if error.status != CONFLICT:  # it has ended meanwhile
            raise


def _too_late(api: Api, media: Json, *, interrupted: bool) -> CommandError:
    if interrupted:
        return CommandError(f"interrupted; media {media['id']} is being cancelled", INTERRUPTED)
    then = "it goes on" if api.engine is None else "it waits for the next `darkroom serve`"
    return CommandError(f"timed out; media {media['id']} has not ended, and {then}", TIMED_OUT)


@contextmanager
def interruptible() -> Iterator[asyncio.Event]:
    """Ctrl-C sets the event; a second one ends the process at once."""
    interrupt, loop = asyncio.Event(), asyncio.get_running_loop()

    def handle(number: int, frame: FrameType | None) -> None:
        if interrupt.is_set():
            sys.stderr.write("\x1b[?25h" if sys.stderr.isatty() else "")  # the progress bar hid the cursor
            sys.stderr.flush()
            os._exit(INTERRUPTED)
        loop.call_soon_threadsafe(interrupt.set)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Show]:
    """A live bar on standard error, if that is a terminal; the value shows a status."""
    if quiet or not sys.stderr.isatty():
        yield lambda status: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[steps]}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("submitted", total=None, steps="")

        def show(status: Json) -> None:
            step = status["progress"] or {"step": 0, "total": None}
            steps = f"{step['step']}/{step['total']}" if step["total"] else ""
            progress.update(
                bar, description=describe(status), completed=step["step"], total=step["total"], steps=steps
            )  # fmt: skip

        yield show


def describe(status: Json) -> str:
    """A status in words."""
    ahead = status["queue_position"]
    return f"{status['status']}, {ahead} before it" if ahead else str(status["status"])
