"""Repairs what crashes leave behind. Runs in every process that serves; any number may run at once."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from darkroom.db import claims, jobs, lanes, media, trash
from darkroom.db.session import Database
from darkroom.dispatch.base import Dispatcher
from darkroom.engine.admission import Admission
from darkroom.engine.inputs import Inputs
from darkroom.engine.lifecycle import Lifecycle
from darkroom.errors import NotFound, StorageUnavailable, Unavailable
from darkroom.storage.base import Storage

log = structlog.get_logger(__name__)

CHUNK = 100
MOST_REMINDED = 500
SHOWN_EVERY = timedelta(minutes=1)
MOST_PHASE = timedelta(seconds=1)
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
    """Reminds lanes of due jobs, takes jobs whose lease ran out, clears the trash, enforces retention."""

    def __init__(
        self,
        database: Database,
        lifecycle: Lifecycle,
        dispatcher: Dispatcher,
        sweeper: Sweeper,
        admission: Admission,
        *,
        lanes: Sequence[str],
        lease: timedelta,
        interval: timedelta = timedelta(seconds=1),
        retention: timedelta | None = None,
        inputs: Inputs | None = None,
    ) -> None:
        self._database = database
        self._lifecycle = lifecycle
        self._dispatcher = dispatcher
        self._sweeper = sweeper
        self._admission = admission
        self._lanes = lanes
        self._lease = lease
        self._interval = interval
        self._retention = retention
        self._inputs = inputs
        self._expected: datetime | None = None
        self._grace_until: datetime | None = None

    async def run(self) -> None:
        """Look and tidy, each every interval, until cancelled. A store that is slow holds no look up."""
        phase = min(self._interval, MOST_PHASE).total_seconds()
        await asyncio.sleep(random.random() * phase)  # noqa: S311 - so that processes look at different times
        await asyncio.gather(
            self._repeat(self.show_lanes, SHOWN_EVERY),
            self._repeat(self.look, self._interval),
            self._repeat(self.tidy, self._interval),
        )

    async def _repeat(self, chore: Callable[[], Awaitable[None]], every: timedelta) -> None:
        while True:
            rest = self._interval
            try:
                await chore()
                rest = every
            except Unavailable as error:
                log.warning("janitor_waits", reason=error.message)
            except Exception:
                log.exception("janitor_failed")
            await asyncio.sleep(rest.total_seconds())

    async def show_lanes(self) -> None:
        """Say which lanes this process has. Raises `Unavailable`."""
        await self._lifecycle.see_lanes(self._lanes)

    async def round(self) -> None:
        """Do everything once. Raises `Unavailable`."""
        await self.show_lanes()
        await self.look()
        await self.tidy()

    async def look(self) -> None:
        """Remind the lanes that have due jobs; take the jobs whose lease ran out. Raises `Unavailable`."""
        asked = self._lifecycle.now()
        survey = await self._database.transact(lambda connection: self._survey(connection, asked))
        for lane in survey.due_lanes:
            await self._remind(lane)
        await self._admission.refresh()
        if self._may_judge() and survey.leases_ran_out:
            await self._lose()
        self._expected = self._lifecycle.now() + self._interval

    async def tidy(self) -> None:
        """Clear the trash, delete inputs that nobody uses, enforce retention, empty lanes that nobody serves.

        Raises `Unavailable`.
        """
        now = self._lifecycle.now()
        await self._rehome()
        if self._inputs is not None:
            await self._inputs.expire()
        await self._sweeper.clear(await self._database.read(trash.due, now, limit=CHUNK))
        if self._retention is not None:
            await self._retire(now - self._retention)

    async def _rehome(self) -> None:
        """Move what waits in a lane that no process has any more to the one that always is."""
        for lane in await self._database.read(lanes.strays, self._lanes, self._lifecycle.now()):
            moved = await self._lifecycle.rehome(lane, to=DEFAULT_LANE)
            if moved:
                log.warning("lane_is_gone", lane=lane, moved=moved, to=DEFAULT_LANE)

    async def _remind(self, lane: str) -> None:
        """Workers in this process are woken. Those behind a broker get their tickets counted, by one process of all."""
        if self._dispatcher.location is None:
            self._dispatcher.remind(lane, 1)
        elif await self._lifecycle.may_remind(lane, self._interval):
            now = self._lifecycle.now()
            self._dispatcher.remind(lane, await self._database.read(jobs.count_due, lane, now, most=MOST_REMINDED))

    def _survey(self, connection: Connection, now: datetime) -> _Survey:
        due = [lane for lane in self._lanes if claims.is_due(connection, lane, now)]
        return _Survey(due, jobs.any_expired(connection, now))

    def _may_judge(self) -> bool:
        """Whether a lease that ran out says that its worker is gone.

        A look that comes late, or that the database takes long to answer (it is a transaction like those that
        extend leases, and waits for the same lock), says that workers could not have extended theirs: let them,
        first.
        """
        now = self._lifecycle.now()
        if self._expected is not None and now - self._expected > self._lease / 2:
            self._grace_until = now + self._lease / 2
        return self._grace_until is None or now >= self._grace_until

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
