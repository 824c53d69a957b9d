"""Tells those who watch, with one read and one rendering for all of them.

News marks what has changed; the row says how it is now. So it does not matter whether news is doubled or late, and a
change costs the same however many watch, but for the sending.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from darkroom.db import logs, media
from darkroom.db.clock import Now
from darkroom.db.session import Database
from darkroom.engine.loops import cancel, start
from darkroom.engine.queries import Located
from darkroom.engine.watching.audience import Audience, Watcher
from darkroom.engine.watching.unheard import Unheard
from darkroom.errors import DatabaseUnavailable
from darkroom.events.base import EventBus
from darkroom.media.events import MOVES, BackendSpoke, News, Previewed, Progressed
from darkroom.media.model import Media
from darkroom.media.states import ENDED
from darkroom.telemetry import metrics

log = structlog.get_logger(__name__)

GATHER = 0.005
"""Seconds in which news gathers before the rows are read."""
LOOK_AGAIN = 2.0
"""Seconds between looks for changes of which no news came."""
BATCH = 200
"""Media that are read at once."""
OVERLAP = timedelta(seconds=10)
"""A write may wait 5 s for its turn after its time was taken: news does not come in the order of its times."""
CHUNKS = 10
"""Chunks of the story that are looked at for those who come back."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The media was deleted."""

    media_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class Opened:
    """Nothing can be missed any more: who is cut off before anything is told goes on from `at`."""

    at: datetime


Told = Located | Progressed | Previewed | Gone | Opened


class Feed:
    """The watchers of a process, and what they are told."""

    def __init__(
        self,
        database: Database,
        bus: EventBus,
        stopping: asyncio.Event,
        *,
        now: Now,
        render: Callable[[Told], bytes],
        silence: bytes,
    ) -> None:
        """`render` makes of news what is sent; `silence` is sent where there is none."""
        self._database = database
        self._bus = bus
        self._stopping = stopping
        self._now = now
        self._render = render
        self._silence = silence
        self._audiences: dict[UUID | None, Audience] = {}
        self._unheard = Unheard(database)
        self._ears = ExitStack()
        self._arrived = asyncio.Event()
        self._changed: dict[UUID, bool] = {}
        self._on_the_way: list[Progressed | Previewed] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Feed"]:
        """Tell watchers while the context is open, and let them go when the service stops."""
        loops = [
            start("feed", self._tell_news),
            start("feed again", self._look_again),
            start("feed silence", self._reassure),
            start("feed end", self._end),
        ]
        try:
            yield self
        finally:
            await cancel(*loops)

    async def of_media(self, known: Located) -> AsyncGenerator[bytes, None]:
        """What happens to a media until it ends; first how it is, as the caller has just read it."""
        yield self._render(known)
        if known.media.status in ENDED:
            return
        with self._watching(known.media.id, known.media.updated_at) as watcher:
            self._mark(known.media.id, is_news=False)  # it may have changed since it was read
            async for texts in watcher:
                yield texts

    async def of_all(self, since: datetime | None) -> AsyncGenerator[bytes, None]:
        """What happens to all media from now on; first how those are now to which something happened since `since`.

        Once the first text is there, nothing more can be missed. Raises `DatabaseUnavailable` before that;
        where the database fails later, the texts end.
        """
        with self._watching(None) as watcher:
            at = self._now()
            await self._unheard.begin()
            missed = [] if since is None else await self._missed(since)
            yield self._render(Opened(at if since is None else since))
            try:
                async for texts in self._states(missed):
                    yield texts
            except DatabaseUnavailable as error:
                log.warning("watcher_cut_off", reason=error.message)
                return
            async for texts in watcher:
                yield texts

    async def _missed(self, since: datetime) -> list[UUID]:
        return await self._database.read(logs.media_since, since - OVERLAP, chunks=CHUNKS)

    async def _states(self, ids: Sequence[UUID]) -> AsyncIterator[bytes]:
        for some in _batches(ids):
            found = await self._read(some)
            yield b"".join(self._render(Located(found[one], None)) for one in some if one in found)

    async def _read(self, ids: Sequence[UUID]) -> dict[UUID, Media]:
        return {one.id: one for one in await self._database.read(media.some, ids)}

    # Who watches

    @contextmanager
    def _watching(self, media_id: UUID | None, seen: datetime | None = None) -> Iterator[Watcher]:
        """Watch a media whose state of `seen` is known, or all (None), while the context is open."""
        if not self._audiences:
            self._ears.enter_context(self._bus.listening(None, self._hear))
        watcher = Watcher()
        self._audiences.setdefault(media_id, Audience()).join(watcher, seen)
        if self._stopping.is_set():
            watcher.end()
        try:
            with metrics.WATCHERS.track_inprogress():
                yield watcher
        finally:
            self._leave(media_id, watcher)

    def _leave(self, media_id: UUID | None, watcher: Watcher) -> None:
        audience = self._audiences[media_id]
        audience.watchers.remove(watcher)
        if not audience.watchers:
            del self._audiences[media_id]
            if media_id is None:
                self._unheard.stop()
        if not self._audiences:
            self._ears.close()

    async def _end(self) -> None:
        await self._stopping.wait()
        for audience in self._audiences.values():
            audience.end()

    # What is heard

    def _hear(self, event: News) -> None:
        if isinstance(event, BackendSpoke):
            return
        if None in self._audiences:
            self._unheard.hear(event)
        elif event.media_id not in self._audiences:
            return
        if isinstance(event, Progressed | Previewed):
            self._on_the_way.append(event)
            self._arrived.set()
        elif isinstance(event, MOVES):
            self._mark(event.media_id)

    def _mark(self, media_id: UUID, *, is_news: bool = True) -> None:
        """Have a media read. `is_news`: whether those who watch all are to hear of it, too."""
        self._changed[media_id] = is_news or self._changed.get(media_id, False)
        self._arrived.set()

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AGAIN)
            try:
                await self._look()
            except DatabaseUnavailable as error:
                log.debug("no_second_look", reason=error.message)

    async def _reassure(self) -> None:
        """Break silences, also while the database hangs."""
        while True:
            await asyncio.sleep(LOOK_AGAIN)
            for audience in self._audiences.values():
                audience.reassure(self._silence)

    async def _look(self) -> None:
        """Mark what changed without news."""
        for media_id in await self._unheard.look():
            self._mark(media_id)
        for ids in _batches([media_id for media_id in self._audiences if media_id is not None]):
            stamps = await self._database.read(media.stamps, ids)
            for media_id in ids:
                audience = self._audiences.get(media_id)
                if audience is not None and audience.stamp != stamps.get(media_id):
                    self._mark(media_id, is_news=False)

    # What is told

    async def _tell_news(self) -> None:
        while True:
            await self._arrived.wait()
            await asyncio.sleep(GATHER)
            self._arrived.clear()
            changed, self._changed = self._changed, {}
            on_the_way, self._on_the_way = self._on_the_way, []
            try:
                ended = [await self._tell_states(ids, changed) for ids in _batches(list(changed))]
            except DatabaseUnavailable as error:
                log.warning("watchers_not_told", reason=error.message)
                for media_id, is_news in changed.items():
                    self._mark(media_id, is_news=is_news)
                await asyncio.sleep(LOOK_AGAIN)
            else:
                self._tell_on_the_way(on_the_way, frozenset().union(*ended))

    async def _tell_states(self, ids: Sequence[UUID], is_news: Mapping[UUID, bool]) -> set[UUID]:
        """Tell how media are now; return those that have ended."""
        found = await self._read(ids)
        for media_id in ids:
            self._tell_state(media_id, found.get(media_id), is_news=is_news[media_id])
        return {media_id for media_id in ids if media_id not in found or found[media_id].status in ENDED}

    def _tell_state(self, media_id: UUID, now: Media | None, *, is_news: bool) -> None:
        """Tell how a media is `now`; None: it is gone."""
        own = self._audiences.get(media_id)
        if own is not None and now is not None and own.stamp == now.updated_at:
            own = None
        everyone = self._audiences.get(None) if is_news else None
        if own is None and everyone is None:
            return
        text = self._render(Gone(media_id, self._now()) if now is None else Located(now, None))
        for audience in (own, everyone):
            if audience is not None:
                audience.tell(text)
        if own is not None:
            own.stamp = None if now is None else now.updated_at
            if now is None or now.status in ENDED:
                own.end()

    def _tell_on_the_way(self, events: Sequence[Progressed | Previewed], ended: Collection[UUID]) -> None:
        for event in events:
            audiences = [self._audiences[who] for who in (event.media_id, None) if who in self._audiences]
            if event.media_id in ended or not audiences:
                continue
            text = self._render(event)
            for audience in audiences:
                audience.tell(text)
            if isinstance(event, Progressed) and event.media_id in self._audiences:
                self._audiences[event.media_id].stamp = event.at


def _batches(ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    return (ids[n : n + BATCH] for n in range(0, len(ids), BATCH))
