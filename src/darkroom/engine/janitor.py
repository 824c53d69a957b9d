"""Repairs what crashes leave behind. Runs in every process that serves; any number may run at once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import Connection

from darkroom.db import jobs, media, trash
from darkroom.db.session import Database
from darkroom.dispatch.base import Dispatcher
from darkroom.engine.lifecycle import Lifecycle
from darkroom.errors import NotFound, StorageUnavailable, Unavailable
from darkroom.storage.base import Storage

log = structlog.get_logger(__name__)

CHUNK = 100
DEFAULT_LANE = "default"
FAILURES = 3
"""How many prefixes may resist before the store is left alone for now."""


class Sweeper:
    """Clears from the store what no media needs, and only then forgets that it was to be cleared."""

    def __init__(self, database: Database, storage: Storage) -> None:
        self._database = database
        self._storage = storage

    async def clear(self, prefixes: Sequence[str]) -> None:
        """Remove all that is stored below `prefixes`. Raises `Unavailable`; what was not cleared stays noted.

        One that cannot be cleared does not keep the next ones, unless it looks as if none could.
        """
        failures: list[StorageUnavailable] = []
        for prefix, since in (await self._database.read(trash.noted, prefixes)).items():
            try:
                await self._storage.delete_prefix(prefix)
            except StorageUnavailable as error:
                failures.append(error)
                if len(failures) == FAILURES:
                    break
            else:
                await self._database.write(_forget, (prefix, since))
        if failures:
            raise failures[0]


def _forget(connection: Connection, cleared: Sequence[tuple[str, datetime]]) -> list[None]:
    trash.forget(connection, cleared)
    return [None for _ in cleared]


@dataclass(frozen=True, slots=True)
class _Survey:
    due_lanes: list[str]
    leases_ran_out: bool


class Janitor:
    """Wakes lanes that have due jobs, takes jobs whose lease ran out, clears the trash, enforces retention."""

    def __init__(
        self,
        database: Database,
        lifecycle: Lifecycle,
        dispatcher: Dispatcher,
        sweeper: Sweeper,
        *,
        lanes: Sequence[str],
        lease: timedelta,
        interval: timedelta = timedelta(seconds=1),
        retention: timedelta | None = None,
    ) -> None:
        self._database = database
        self._lifecycle = lifecycle
        self._dispatcher = dispatcher
        self._sweeper = sweeper
        self._lanes = lanes
        self._lease = lease
        self._interval = interval
        self._retention = retention
        self._expected = lifecycle.now()
        self._grace_until = self._expected

    async def run(self) -> None:
        """Look and tidy, each every interval, until cancelled. A store that is slow holds no look up."""
        await asyncio.gather(self._repeat(self.look), self._repeat(self.tidy))

    async def _repeat(self, chore: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await chore()
            except Unavailable as error:
                log.warning("janitor_waits", reason=error.message)
            except Exception:
                log.exception("janitor_failed")
            await asyncio.sleep(self._interval.total_seconds())

    async def round(self) -> None:
        """Look once, and repair what there is. Raises `Unavailable`."""
        await self.look()
        await self.tidy()

    async def look(self) -> None:
        """Wake the lanes that have due jobs; take the jobs whose lease ran out. Raises `Unavailable`."""
        asked = self._lifecycle.now()
        survey = await self._database.transact(lambda connection: self._survey(connection, asked))
        for lane in survey.due_lanes:
            self._dispatcher.wake(lane)
        if self._may_judge() and survey.leases_ran_out:
            await self._lose()
        self._expected = self._lifecycle.now() + self._interval

    async def tidy(self) -> None:
        """Clear the trash, enforce retention, empty lanes that nobody serves. Raises `Unavailable`."""
        now = self._lifecycle.now()
        await self._rehome()
        await self._sweeper.clear(await self._database.read(trash.due, now, limit=CHUNK))
        if self._retention is not None:
            await self._retire(now - self._retention)

    async def _rehome(self) -> None:
        """Move what waits in a lane that is not configured any more to the one that always is."""
        for lane in await self._database.read(jobs.waiting_lanes):
            if lane not in self._lanes:
                moved = await self._database.transact(partial(jobs.move, lane=lane, to=DEFAULT_LANE))
                log.warning("lane_not_configured", lane=lane, moved=moved, to=DEFAULT_LANE)

    def _survey(self, connection: Connection, now: datetime) -> _Survey:
        return _Survey(jobs.due_lanes(connection, self._lanes, now), jobs.any_expired(connection, now))

    def _may_judge(self) -> bool:
        """Whether a lease that ran out says that its worker is gone.

        A look that comes late, or that the database takes long to answer (it is a transaction like those that
        extend leases, and waits for the same lock), says that workers could not have extended theirs: let them,
        first.
        """
        now = self._lifecycle.now()
        if now - self._expected > self._lease / 2:
            self._grace_until = now + self._lease / 2
        return now >= self._grace_until

    async def _lose(self) -> None:
        lost = CHUNK
        while lost == CHUNK:
            lost = await self._lifecycle.lose_expired(most=CHUNK)
            if lost:
                log.warning("leases_ran_out", jobs=lost)

    async def _retire(self, before: datetime) -> None:
        for media_id in await self._database.read(media.ended_before, before, limit=CHUNK):
            try:
                await self._lifecycle.remove(media_id)
            except NotFound:
                log.debug("already_removed", media_id=str(media_id))
