"""How many jobs may wait in a lane."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from darkroom.db import jobs
from darkroom.db.session import Database
from darkroom.errors import QueueFull

RETRY_AFTER = 5.0
PAUSE = 0.05
"""Seconds between two counts of a lane that is full."""


class Admission:
    """Lets media in as long as their lane takes more.

    It goes by what was counted last and what it let in since, and counts anew only where that says that the lane is
    full: a lane that is not full costs nothing. What other processes let in it learns at the next `refresh`.
    """

    def __init__(self, database: Database, limits: Mapping[str, int]) -> None:
        """`limits`: how many jobs may wait, by lane."""
        self._doors = {lane: _Door(database, lane, most) for lane, most in limits.items()}

    @asynccontextmanager
    async def asking(self, lane: str) -> AsyncIterator[QueueFull | None]:
        """Open while a media is submitted: None if it may come in, else what to refuse it with."""
        door = self._doors[lane]
        if not await door.opens():
            full = f"{door.most} jobs wait in the lane {lane}; it takes no more for now"
            yield QueueFull(full, retry_after=RETRY_AFTER)
            return
        try:
            yield None
        finally:
            door.entered()

    async def refresh(self) -> None:
        """Count anew in the lanes that media were let into. Raises `DatabaseUnavailable`."""
        for door in self._doors.values():
            if door.is_stale:
                await door.count()


class _Door:
    """Of one lane. `_waiting`: jobs at most, from the last count on; `_entering`: those that are being submitted."""

    def __init__(self, database: Database, lane: str, most: int) -> None:
        self._database = database
        self._lane = lane
        self.most = most
        self._waiting = most  # nobody has counted yet
        self._let_in = 0
        self._entering = 0
        self._nobody_enters = asyncio.Event()
        self._nobody_enters.set()
        self._recount: asyncio.Task[None] | None = None
        self._counting = asyncio.Lock()
        self._counted_at = 0.0
        self.is_stale = False

    async def opens(self) -> bool:
        """Let one in, to be followed by `entered`; False: the lane is full."""
        if self._waiting >= self.most:
            await self._count_once()
            if self._waiting >= self.most:
                return False
        self._waiting += 1
        self._let_in += 1
        self._entering += 1
        self._nobody_enters.clear()
        self.is_stale = True
        return True

    def entered(self) -> None:
        """One that was let in is in the queue, or did not come."""
        self._entering -= 1
        if not self._entering:
            self._nobody_enters.set()

    async def count(self) -> None:
        """Count what waits. What is entering meanwhile counts, too, perhaps twice."""
        async with self._counting:
            self.is_stale = bool(self._entering)
            before = self._let_in - self._entering
            counted = await self._database.read(jobs.count, self._lane, most=self.most)
            self._waiting = counted + self._let_in - before
            self._counted_at = asyncio.get_running_loop().time()

    async def _count_once(self) -> None:
        """Count, for all that ask at the same time."""
        if self._recount is None or self._recount.done():
            self._recount = asyncio.create_task(self._count_exactly(), name=f"count {self._lane}")
        await asyncio.shield(self._recount)

    async def _count_exactly(self) -> None:
        """Count once all that were let in are there, so that none is refused wrongly."""
        await asyncio.sleep(self._counted_at + PAUSE - asyncio.get_running_loop().time())
        await self._nobody_enters.wait()
        await self.count()
