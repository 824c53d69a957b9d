"""The engine as one thing: what the surfaces call, and what runs beside them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import structlog

from darkroom.db.session import Database
from darkroom.dispatch.base import Dispatcher
from darkroom.engine import intake
from darkroom.engine.catalogue import Catalogue
from darkroom.engine.intake import Order
from darkroom.engine.janitor import Janitor, Sweeper
from darkroom.engine.lifecycle import Lifecycle
from darkroom.engine.queries import Located, Queries
from darkroom.engine.transitions.base import prefix_of
from darkroom.engine.worker import Worker
from darkroom.errors import Unavailable
from darkroom.events.base import EventBus
from darkroom.media.events import FINAL, MediaEvent
from darkroom.media.model import Media
from darkroom.media.states import ENDED
from darkroom.storage.base import Storage

log = structlog.get_logger(__name__)

REREAD = 2.0
"""Seconds after which a watcher looks at the row again: news may get lost."""

RESTART = 1.0
"""Seconds until a loop that broke is started again."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to an order. `replayed`: its idempotency key had been used for it before."""

    media: Located
    replayed: bool


@dataclass(slots=True)
class Engine:
    """Every part, open. Made by `wiring`."""

    database: Database
    storage: Storage
    catalogue: Catalogue
    bus: EventBus
    dispatcher: Dispatcher
    lifecycle: Lifecycle
    queries: Queries
    sweeper: Sweeper
    janitor: Janitor
    workers: Sequence[Worker]
    max_tries: int
    stop_grace: timedelta
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def submit(self, order: Order) -> Accepted:
        """Accept an order, durably. Raises `InvalidRequest`, `UnknownModel`, `IdempotencyMismatch`, `Unavailable`."""
        answer = await self.lifecycle.submit(intake.accept(order, self.catalogue, max_tries=self.max_tries))
        if isinstance(answer, Media):
            return Accepted(Located(answer, None), replayed=False)
        return Accepted(await self.queries.media(answer), replayed=True)

    async def wait(self, known: Located, *, at_most: float) -> Located:
        """The media once it has ended, or as it is after `at_most` seconds or when the service stops.

        `known`: the media as the caller has just seen it.
        """
        media_id, news = known.media.id, asyncio.Event()

        def listen(event: MediaEvent) -> None:
            if isinstance(event, FINAL):
                news.set()

        deadline = asyncio.get_running_loop().time() + at_most
        with self.bus.listening(media_id, listen):
            while known.media.status not in ENDED and not self.stopping.is_set():
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0:
                    break
                await _first(news, self.stopping, timeout=min(left, REREAD))
                news.clear()
                known = await self.queries.media(media_id)
        return known

    async def remove(self, media_id: UUID) -> None:
        """Delete a media with its files. What the store cannot delete now, the janitor does later."""
        await self.lifecycle.remove(media_id)
        try:
            await self.sweeper.clear([prefix_of(media_id)])
        except Unavailable as error:
            log.warning("files_not_deleted_yet", media_id=str(media_id), reason=error.message)

    def begin_stop(self) -> None:
        """Take no more work, and let nobody wait any longer."""
        self.stopping.set()
        for worker in self.workers:
            worker.stop_claiming()
            self.dispatcher.wake(worker.lane)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Serve the lanes and keep house while the context is open; then stop gracefully."""
        loops = [_start(f"worker {worker.lane}", worker.run) for worker in self.workers]
        leases = [_start(f"leases {worker.lane}", worker.keep_leases) for worker in self.workers]
        janitor = _start("janitor", self.janitor.run)
        try:
            yield
        finally:
            self.begin_stop()
            await asyncio.gather(*loops, return_exceptions=True)
            await asyncio.gather(*(worker.finish(self.stop_grace) for worker in self.workers))
            await _cancel(janitor, *leases)


async def _first(*events: asyncio.Event, timeout: float) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _cancel(*waits)


async def _cancel(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _start(name: str, loop: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    return asyncio.create_task(_keep_going(name, loop), name=name)


async def _keep_going(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    """Run `loop` to its end. One that breaks is a mistake of ours; without it nothing would go on."""
    while True:
        try:
            await loop()
        except Exception:
            log.critical("loop_broke", loop=name, exc_info=True)
            await asyncio.sleep(RESTART)
        else:
            return
