"""Many processes as one: started in order, started again when they die, stopped in the opposite order."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from darkroom.errors import DarkroomError
from darkroom.stack.process import Process

SHORTEST_PAUSE = 1.0
LONGEST_PAUSE = 30.0


@dataclass(slots=True)
class _Watched:
    """A process, with the pause before it is started again; that doubles until it stays alive for so long."""

    process: Process
    patience: float
    pause: float = SHORTEST_PAUSE
    begun: float = 0.0
    due: float | None = None

    def launch(self) -> None:
        self.begun, self.due = time.monotonic(), None
        self.process.launch()

    def put_off(self) -> float:
        """Have it started again after a pause; return how long."""
        now = time.monotonic()
        self.pause = SHORTEST_PAUSE if now - self.begun > LONGEST_PAUSE else min(LONGEST_PAUSE, self.pause * 2)
        self.due = now + self.pause
        return self.pause


class Supervisor:
    """Processes in groups: one group is there before the next is started, and stopped after it.

    `tell` is given a line for each that starts, and for each that died.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._groups: list[list[_Watched]] = []
        self._tell = tell

    def start(self, processes: Iterable[Process], *, patience: float) -> None:
        """Start the next group; each gets `patience` seconds to end when it is asked to. Raises `Unavailable`."""
        group = [_Watched(process, patience) for process in processes]
        self._groups.append(group)
        for one in group:
            self._tell(f"starting {one.process.name}")
            one.launch()
        for one in group:
            one.process.start()

    def look(self) -> None:
        """Start again what has ended."""
        for one in (one for group in self._groups for one in group if not one.process.alive):
            if one.due is None:
                code = one.process.exit_code
                self._tell(f"{one.process.name} ended with {code}; it starts again in {one.put_off():g} s")
            elif time.monotonic() >= one.due:
                self._try(one)

    def stop(self) -> None:
        """Ask all to end, group by group from the last one."""
        for group in reversed(self._groups):
            for one in group:
                one.process.ask()
            for one in group:
                one.process.finish(one.patience)

    def kill(self) -> None:
        """End all at once."""
        for one in (one for group in self._groups for one in group):
            one.process.kill()

    def _try(self, one: _Watched) -> None:
        try:
            one.launch()
        except DarkroomError as error:
            self._tell(f"{error.message}; it is tried again in {one.put_off():g} s")
