"""A process and all that came from it, as the kernel tells it: some of them leave the process group."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_STATE, _STARTED = 0, 19  # fields of /proc/<pid>/stat, counted from the one behind the name
GOING = 5.0
"""Seconds for killed processes to be gone."""


@dataclass(frozen=True, slots=True)
class Member:
    """One process; with the time it was started, as ids are used again."""

    pid: int
    started: str

    @property
    def alive(self) -> bool:
        """Whether it is there and has not ended."""
        fields = _fields(self.pid)
        return bool(fields) and fields[_STARTED] == self.started and fields[_STATE] != "Z"

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def family(pid: int) -> list[Member]:
    """The process `pid` and its descendants; empty where the system has no /proc."""
    return [Member(one, fields[_STARTED]) for one in _descend(pid) if (fields := _fields(one))]


def end(members: list[Member]) -> None:
    """SIGKILL them all, and return once they are gone."""
    for member in members:
        member.send(signal.SIGKILL)
    deadline = time.monotonic() + GOING
    while any(member.alive for member in members) and time.monotonic() < deadline:
        time.sleep(0.005)


def _descend(pid: int) -> Iterator[int]:
    yield pid
    for task in (_PROC / str(pid) / "task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text().split():
                yield from _descend(int(child))


def _fields(pid: int) -> list[str]:
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
