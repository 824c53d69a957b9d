"""The lanes, as people see and hold them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from darkroom.db import jobs
from darkroom.db import lanes as rows
from darkroom.db.session import Database
from darkroom.dispatch.base import Dispatcher
from darkroom.engine.lifecycle import Lifecycle

MOST_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What the settings of this process say of a lane."""

    concurrency: int
    max_queued: int


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane now. Both numbers of jobs are counted up to 10,000. `limits`: None if only other processes have it."""

    name: str
    paused: bool
    queued: int
    running: int
    limits: Limits | None


class Lanes:
    """Every lane that this or another process has in its settings."""

    def __init__(
        self, database: Database, lifecycle: Lifecycle, dispatcher: Dispatcher, *, here: Mapping[str, Limits]
    ) -> None:
        self._database = database
        self._lifecycle = lifecycle
        self._dispatcher = dispatcher
        self.here = here

    async def every(self) -> list[Lane]:
        """All of them, by name."""
        return await self._database.read(self._read, self._lifecycle.now())

    async def pause(self, name: str) -> Lane:
        """Have no more jobs of a lane started, by any process; what runs goes on. Raises `NotFound`."""
        await self._lifecycle.hold_lane(name, paused=True, here=name in self.here)
        return await self._get(name)

    async def resume(self, name: str) -> Lane:
        """Have jobs of a lane started again. Raises `NotFound`."""
        await self._lifecycle.hold_lane(name, paused=False, here=name in self.here)
        lane = await self._get(name)
        if lane.queued:
            self._dispatcher.remind(name, lane.queued)
        return lane

    async def _get(self, name: str) -> Lane:
        return next(lane for lane in await self.every() if lane.name == name)

    def _read(self, connection: Connection, now: datetime) -> list[Lane]:
        known = {lane.name: lane for lane in rows.every(connection)}
        there = {name for name, lane in known.items() if not lane.is_gone(now)} | self.here.keys()
        running = jobs.count_running(connection, most=MOST_COUNTED)
        return [
            Lane(
                name=name,
                paused=name in known and known[name].paused_at is not None,
                queued=jobs.count(connection, name, most=MOST_COUNTED),
                running=running.get(name, 0),
                limits=self.here.get(name),
            )
            for name in sorted(there)
        ]
