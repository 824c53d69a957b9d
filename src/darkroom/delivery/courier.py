"""Tells webhooks what the table says that they are to be told. Runs in every process that serves.

A delivery is taken under a lease; one whose courier dies is sent again by another, under the same `webhook-id`.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from darkroom import __version__
from darkroom.db import deliveries
from darkroom.db.session import Database
from darkroom.delivery import outbox, policy, signing
from darkroom.delivery.places import Places
from darkroom.delivery.secrets import Secrets
from darkroom.delivery.sending import TIMEOUT, Answer, send
from darkroom.errors import DatabaseUnavailable, NotFound
from darkroom.media.model import Attempt, Delivery
from darkroom.media.states import DeliveryState
from darkroom.security.egress import Egress
from darkroom.telemetry import metrics

log = structlog.get_logger(__name__)

LEASE: Final = timedelta(seconds=4 * TIMEOUT)
BRISK: Final = 0.1
"""Seconds between looks while there is something to tell, or to look at; else as long as the settings say."""
BUSY_FOR: Final = 60.0
LAST_WORDS: Final = 2.0
"""Seconds for what is being sent when the service stops; what is cut off is sent again."""
KEPT: Final = 30
"""Tries that a delivery's row remembers."""
HEADERS: Final = {"content-type": "application/json", "user-agent": f"Darkroom/{__version__} (webhooks)"}

Render = Callable[[Delivery], Awaitable[bytes]]
"""What a webhook is told, as things are now. Raises `NotFound` if there is no such media any more."""


class Courier:
    """Takes due deliveries and sends them. `interval`: seconds between looks while all is quiet."""

    def __init__(
        self, database: Database, egress: Egress, secrets: Secrets, render: Render, *, interval: float = 1.0
    ) -> None:
        self._database = database
        self._egress = egress
        self._secrets = secrets
        self._render = render
        self._interval = interval
        self._rng = random.Random()  # noqa: S311 - jitter
        self._under_way: dict[asyncio.Task[None], Delivery] = {}
        self._places = Places()
        self._seen = ""
        self._change = asyncio.Event()
        self._stopping = False
        self._busy_until = float("-inf")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send while the context is open; then let what is under way end, or cut it off."""
        loop = asyncio.create_task(self._run(), name="courier")
        try:
            yield
        finally:
            self._stopping = True
            self._change.set()
            await asyncio.wait([loop], timeout=LAST_WORDS)
            loop.cancel()
            await asyncio.wait([loop])
            await self._finish()

    async def _run(self) -> None:
        while not self._stopping:
            taken = 0
            try:
                taken = await self._take()
            except DatabaseUnavailable as error:
                log.warning("courier_waits", reason=error.message)
            except Exception:
                log.exception("courier_failed")
            if not taken:
                await self._rest()

    async def _rest(self) -> None:
        """Wait for a place that becomes free, or for the time to look again."""
        now = asyncio.get_running_loop().time()
        pause = BRISK if now < self._busy_until or self._seen else self._interval
        if not self._stopping:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._change.wait()
        self._change.clear()

    async def _take(self) -> int:
        """Begin with what is due and has room; how many these are."""
        if not self._places.has_room:
            return 0
        now = self._database.now()
        hosts = await self._database.read(deliveries.look, now, after=self._seen)
        self._seen = hosts.last
        room = self._places.room(hosts.due)
        if not room:
            return 0
        taken = await self._database.transact(partial(deliveries.claim, room=room, now=now, until=now + LEASE))
        for delivery in taken:
            self._begin(delivery)
        if taken:
            self._busy_until = asyncio.get_running_loop().time() + BUSY_FOR
        return len(taken)

    def _begin(self, delivery: Delivery) -> None:
        task = asyncio.create_task(self._deliver(delivery), name=f"delivery {delivery.id}")
        self._under_way[task] = delivery
        self._places.take(delivery.host)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._places.leave(self._under_way.pop(task).host)
        self._change.set()

    async def _finish(self) -> None:
        """Wait a moment for what is under way; give back what does not end."""
        if not self._under_way:
            return
        await asyncio.wait(self._under_way, timeout=LAST_WORDS)
        left = dict(self._under_way)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
            await self._give_back(list(left.values()))

    async def _give_back(self, cut_off: Sequence[Delivery]) -> None:
        try:
            await self._database.transact(partial(deliveries.give_back, held=cut_off))
        except DatabaseUnavailable as error:
            log.warning("deliveries_not_given_back", reason=error.message, deliveries=len(cut_off))

    # One delivery

    async def _deliver(self, delivery: Delivery) -> None:
        with structlog.contextvars.bound_contextvars(media_id=str(delivery.media_id), delivery_id=str(delivery.id)):
            at = self._database.now()
            try:
                await self._note(delivery, at, await self._told(delivery, at))
            except NotFound:
                log.debug("nothing_to_tell")  # the media is gone, or goes on
            except DatabaseUnavailable as error:
                log.warning("delivery_waits", reason=error.message)  # for its lease to run out
            except Exception:
                log.exception("delivery_failed")

    async def _told(self, delivery: Delivery, at: datetime) -> Answer:
        """Tell one target one event; what came of it. Raises `NotFound`, `DatabaseUnavailable`."""
        try:
            body = await self._rendered(delivery)
            keys = [secret.secret for secret in await self._secrets.signing(delivery.owner)]
            signed = signing.headers(f"msg_{delivery.id.hex}", at, body.decode(), keys)
            answer = await send(self._egress, delivery.url, body, {**HEADERS, **signed})
        except (NotFound, DatabaseUnavailable):
            raise
        except Exception:
            log.exception("delivery_broke")  # a try like any other: it must not be made for ever
            return Answer(0.0, error="the message could not be made")
        if answer.tried:
            self._places.note(delivery.host, answer.seconds, answered=answer.status is not None)
            metrics.WEBHOOK_SECONDS.observe(answer.seconds)
        return answer

    async def _rendered(self, delivery: Delivery) -> bytes:
        """The body of a message. Raises `NotFound` if there is nothing to tell any more."""
        body = await self._render(delivery)
        is_end = delivery.event == outbox.COMPLETED
        if is_end and await self._database.read(outbox.is_taken_back, delivery):  # once it is made: it might show that
            drop = partial(deliveries.drop, delivery=delivery, at=self._database.now())
            await self._database.transact(drop)
            raise NotFound(f"media {delivery.media_id} goes on")
        return body

    async def _note(self, delivery: Delivery, at: datetime, answer: Answer) -> None:
        if not answer.tried:
            log.warning("webhook_waits", event_of=delivery.event, reason=answer.error)
            await self._put_off(delivery, delivery.attempts, delivery.tries, policy.wait_untried(self._rng))
            return
        attempt = Attempt(at, round(answer.seconds, 3), answer.status, answer.error)
        attempts = [*delivery.attempts, attempt][-KEPT:]
        tries = delivery.tries + 1
        wait = policy.wait_after(tries, asked=answer.asked, rng=self._rng)
        state = _state_after(answer, is_last=wait is None)
        if state is DeliveryState.PENDING:
            assert wait is not None
            held = await self._put_off(delivery, attempts, tries, wait)
        else:
            end = partial(deliveries.end, delivery=delivery, state=state, attempts=attempts, at=self._database.now())
            held = await self._database.transact(end)
        if held:
            metrics.WEBHOOKS.labels("retried" if state is DeliveryState.PENDING else state.value).inc()
        if answer.error is not None:
            log.warning("webhook_not_told", event_of=delivery.event, tries=tries, reason=answer.error)

    async def _put_off(self, delivery: Delivery, attempts: Sequence[Attempt], tries: int, wait: timedelta) -> bool:
        now = self._database.now()
        put_off = partial(outbox.put_off, delivery=delivery, attempts=attempts, tries=tries, until=now + wait, at=now)
        return await self._database.transact(put_off)


def _state_after(answer: Answer, *, is_last: bool) -> DeliveryState:
    if answer.error is None:
        return DeliveryState.DELIVERED
    if answer.status == 410:
        return DeliveryState.GONE
    return DeliveryState.FAILED if is_last else DeliveryState.PENDING
