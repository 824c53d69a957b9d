"""The engine as one thing: what the surfaces call, and what runs beside them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

import structlog

from darkroom.db.session import Database
from darkroom.delivery.book import Book
from darkroom.delivery.secrets import Secrets
from darkroom.dispatch.base import Dispatcher
from darkroom.engine import intake, references, repeats
from darkroom.engine.accounts import Accounts
from darkroom.engine.admission import Admission
from darkroom.engine.catalogue import Catalogue
from darkroom.engine.claiming import Claimer, Tickets
from darkroom.engine.costs import Costs
from darkroom.engine.inputs import Inputs
from darkroom.engine.intake import Order
from darkroom.engine.janitor import Janitor, Sweeper
from darkroom.engine.lanes import Lanes
from darkroom.engine.lifecycle import Lifecycle
from darkroom.engine.loops import cancel, start
from darkroom.engine.observing.standing import Standing
from darkroom.engine.queries import Located, Queries
from darkroom.engine.transitions.base import prefix_of
from darkroom.engine.worker import Worker
from darkroom.errors import BudgetExhausted, QueueFull, Unavailable
from darkroom.events.base import EventBus
from darkroom.media.events import FINAL, News, Previewed, Progressed
from darkroom.media.model import Media, Submission
from darkroom.media.states import ENDED
from darkroom.security.egress import Egress
from darkroom.storage.base import Storage
from darkroom.telemetry import metrics

log = structlog.get_logger(__name__)

REREAD = 2.0
"""Seconds after which a watcher looks at the row again: news may get lost."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to an order. `replayed`: it had been accepted before, when it was first sent."""

    media: Located
    replayed: bool


@dataclass(slots=True)
class Engine:
    """Every part, open. Made by `wiring`."""

    database: Database
    storage: Storage
    inputs: Inputs
    egress: Egress
    deliveries: Book
    webhook_secrets: Secrets
    catalogue: Catalogue
    bus: EventBus
    dispatcher: Dispatcher
    lifecycle: Lifecycle
    queries: Queries
    lanes: Lanes
    accounts: Accounts
    costs: Costs
    admission: Admission
    standing: Standing
    sweeper: Sweeper
    janitor: Janitor
    workers: Sequence[Worker]
    claimers: Sequence[Claimer]
    max_tries: int
    stop_grace: timedelta
    poll_interval: timedelta
    draining: bool = False
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def leaving(self) -> bool:
        """Whether it is to stop, soon or now: callers had better turn to another process."""
        return self.draining or self.stopping.is_set()

    async def submit(self, order: Order) -> Accepted:
        """Accept an order, durably.

        Raises `InvalidRequest`, `UnknownModel`, `IdempotencyMismatch`, `BudgetExhausted`, `QueueFull`, `Unavailable`.
        """
        if order.webhook is not None:
            self.egress.check(order.webhook.url, field="webhook")
        if repeated := await repeats.find(self.database, order):
            return Accepted(await self.queries.media(repeated), replayed=True)
        model = await self.catalogue.ready(order.model)
        wanted = intake.accept(order, self.catalogue, max_tries=self.max_tries)
        spent = await self.costs.refusal(model, wanted)
        if spent is None and any(references.references(wanted.parameters)):
            if repeated := await self.lifecycle.repeated(wanted):
                return Accepted(await self.queries.media(repeated), replayed=True)
            wanted = replace(wanted, parameters=await self.inputs.settle(wanted.parameters, wanted.owner))
        async with self.admission.asking(wanted.lane) as full:
            answer = await self._submit(wanted, spent or full)
        if isinstance(answer, Media):
            return Accepted(Located(answer, None), replayed=False)
        return Accepted(await self.queries.media(answer), replayed=True)

    async def leave(self, media_id: UUID) -> None:
        """Leave a media to whoever asks for the same with `Order.takes_over`: its caller went away."""
        await repeats.leave(self.database, media_id)

    async def _submit(self, wanted: Submission, refusal: BudgetExhausted | QueueFull | None) -> Media | UUID:
        try:
            return await self.lifecycle.submit(wanted, refusal=refusal)
        except BudgetExhausted:
            metrics.BUDGET_REFUSED.labels(wanted.model).inc()
            raise

    async def wait(self, known: Located, *, at_most: float) -> Located:
        """The media once it has ended, or as it is after `at_most` seconds or when the service stops.

        `known`: the media as the caller has just seen it.
        """
        media_id, news = known.media.id, asyncio.Event()

        def listen(event: News) -> None:
            if isinstance(event, FINAL):
                news.set()

        deadline = asyncio.get_running_loop().time() + at_most
        with metrics.WATCHERS.track_inprogress(), self.bus.listening(media_id, listen):
            while known.media.status not in ENDED and not self.stopping.is_set():
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0:
                    break
                await _first(news, self.stopping, timeout=min(left, REREAD))
                news.clear()
                known = await self.queries.media(media_id)
        return known

    async def follow(self, known: Located) -> AsyncGenerator[Located | Progressed | Previewed, None]:
        """How a media is, and then what happens to it, until it has ended or the service stops.

        `known`: the media as the caller has just seen it; it is told again when it may have changed, at least every
        two seconds. Of what one who is slow has not read, only the latest is kept. Raises `NotFound` once it is
        deleted, `DatabaseUnavailable`.
        """
        media_id, latest, news = known.media.id, dict[type, Progressed | Previewed](), asyncio.Event()

        def listen(event: News) -> None:
            if isinstance(event, Progressed | Previewed):
                latest[type(event)] = event
            news.set()

        with metrics.WATCHERS.track_inprogress(), self.bus.listening(media_id, listen):
            yield known
            while known.media.status not in ENDED and not self.stopping.is_set():
                await _first(news, self.stopping, timeout=REREAD)
                news.clear()
                told = list(latest.values())
                latest.clear()
                for event in told:
                    yield event
                known = await self.queries.media(media_id)
                yield known

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
        for claimer in self.claimers:
            self.dispatcher.wake(claimer.lane)

    def stop_at_once(self) -> None:
        """Stop without grace: what runs is given back."""
        self.begin_stop()
        for worker in self.workers:
            worker.release()

    @asynccontextmanager
    async def working(self, tickets: Sequence[Tickets] = ()) -> AsyncIterator[None]:
        """Claim jobs, keep leases and keep house while the context is open; then stop gracefully.

        `tickets`: those that this process redeems.
        """
        claiming: list[Claimer | Tickets] = [*self.claimers, *tickets]
        loops = [start(f"claims {claims.lane}", claims.run) for claims in claiming]
        leases = [start(f"leases {worker.lane}", worker.keep_leases) for worker in self.workers]
        janitor = start("janitor", self.janitor.run)
        try:
            yield
        finally:
            self.begin_stop()
            await asyncio.gather(*loops, return_exceptions=True)
            await asyncio.gather(*(worker.finish(self.stop_grace) for worker in self.workers))
            await cancel(janitor, *leases)


async def _first(*events: asyncio.Event, timeout: float) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel(*waits)
