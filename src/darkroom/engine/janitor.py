"""Repairs what crashes leave behind. Runs in every process that serves; any number may run at once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from darkroom.db import jobs, media, trash
from darkroom.db.session import Database
from darkroom.dispatch.base import Dispatcher
from darkroom.engine.lifecycle import Lifecycle
from darkroom.errors import NotFound, Unavailable
from darkroom.storage.base import Storage

log = structlog.get_logger(__name__)

CHUNK = 100


class Sweeper:
    """Clears from the store what no media needs, and only then forgets that it was to be cleared."""

    def __init__(self, database: Database, storage: Storage) -> None:
        self._database = database
        self._storage = storage

    async def clear(self, prefixes: Sequence[str]) -> None:
        """Remove all that is stored below `prefixes`. Raises `Unavailable`; what was not cleared stays noted."""
        for prefix in prefixes:
            await self._storage.delete_prefix(prefix)
            await self._database.write(_forget, prefix)


def _forget(connection: Connection, prefixes: Sequence[str]) -> list[None]:
    trash.forget(connection, prefixes)
    return [None for _ in prefixes]


@dataclass(frozen=True, slots=True)
class _Survey:
    due_lanes: list[str]
    leases_ran_out: bool
    trash: list[str]


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
        self._interval = interval.total_seconds()
        self._retention = retention
        self._saw = lifecycle.now()
        self._grace_until = self._saw

    async def run(self) -> None:
        """Make a round every interval, until cancelled."""
        while True:
            try:
                await self.round()
            except Unavailable as error:
                log.warning("janitor_waits", reason=error.message)
            except Exception:
                log.exception("janitor_round_failed")
            await asyncio.sleep(self._interval)

    async def round(self) -> None:
        """Look once, and repair what there is. Raises `Unavailable`."""
        now = self._lifecycle.now()
        survey = await self._database.read(self._survey, now)
        for lane in survey.due_lanes:
            self._dispatcher.wake(lane)
        if survey.leases_ran_out and self._may_judge(now):
            lost = await self._lifecycle.lose_expired(most=CHUNK)
            log.warning("leases_ran_out", jobs=lost)
        self._saw = now
        await self._sweeper.clear(survey.trash)
        if self._retention is not None:
            await self._retire(now - self._retention)

    def _survey(self, connection: Connection, now: datetime) -> _Survey:
        return _Survey(
            jobs.due_lanes(connection, self._lanes, now),
            jobs.any_expired(connection, now),
            trash.due(connection, now, limit=CHUNK),
        )

    def _may_judge(self, now: datetime) -> bool:
        """After a time without sight of the database, the workers had none either: let them beat once first."""
        if now - self._saw > self._lease:
            self._grace_until = now + self._lease / 2
        return now >= self._grace_until

    async def _retire(self, before: datetime) -> None:
        for media_id in await self._database.read(media.ended_before, before, limit=CHUNK):
            try:
                await self._lifecycle.remove(media_id)
            except NotFound:
                log.debug("already_removed", media_id=str(media_id))
