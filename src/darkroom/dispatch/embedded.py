"""Workers in the same process: a wake-up is an event on the loop."""

import asyncio
from collections import defaultdict


class EmbeddedDispatcher:
    """One event a lane. Whoever serves the lane waits on it."""

    location = None

    def __init__(self) -> None:
        self._due: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def wake(self, lane: str, n: int = 1) -> None:
        self._due[lane].set()

    def remind(self, lane: str, due: int) -> None:
        self.wake(lane)

    async def due(self, lane: str) -> None:
        """Return once `lane` has been woken since the last return."""
        event = self._due[lane]
        await event.wait()
        event.clear()

    async def check(self) -> None:
        pass

    async def aclose(self) -> None:
        pass
