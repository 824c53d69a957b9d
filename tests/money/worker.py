"""A real worker in a process of its own, forked from a warm one, that may end itself at a step."""

import asyncio
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path

from darkroom.settings import Settings
from darkroom.telemetry import logs
from money.steps import CLAIMED, InWorker, Sometime, Step, arm
from services.engines import working

FAREWELL = 10.0
"""Seconds in which a worker that is asked to stop must be gone."""


class Worker:
    """A worker process. `at`: the step at which it sends itself `sign`, if it is one on our side."""

    def __init__(self, settings: Settings, log: Path, *, at: Step | None = None, sign: int = signal.SIGKILL) -> None:
        self.log = log
        self._process = _context().Process(target=work, args=(settings, log, at, sign), daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def alive(self) -> bool:
        return not wait([self._process.sentinel], timeout=0)

    @property
    def exit_code(self) -> int | None:
        self._process.join(0)
        return self._process.exitcode

    def kill(self) -> None:
        """End it; it does nothing more once this returns."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        wait([self._process.sentinel], timeout=FAREWELL)

    def terminate(self) -> None:
        """Ask it to stop."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    async def gone(self, *, within: float) -> bool:
        """Whether it ends in time."""
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._process.sentinel, ended.set)
        try:
            async with asyncio.timeout(within):
                await ended.wait()
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._process.sentinel)
        return True

    def close(self) -> None:
        """Kill it if it is there, and forget it."""
        self.kill()
        self._process.join()
        self._process.close()


def _context() -> multiprocessing.context.ForkServerContext:
    """Forks of a process that has imported everything, and runs nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["money.warm", *(["pytest"] if "pytest" in sys.modules else [])])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), *([before] if before else [])])
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
    return context


def work(settings: Settings, log: Path, at: Step | None, sign: int) -> None:
    """Be a worker, until a SIGTERM."""
    _write_to(log)
    logs.set_up(style="json")
    asyncio.run(_serve(settings, at, lambda: os.kill(os.getpid(), sign)))


def _write_to(log: Path) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)


async def _serve(settings: Settings, at: Step | None, strike: Callable[[], object]) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if isinstance(at, Sometime):
        arm(CLAIMED, lambda: loop.call_later(at.seconds, strike))
    elif isinstance(at, InWorker):
        arm(at, strike)
    async with working(settings):
        await stop.wait()
