"""Tells webhooks what the table says that they are to be told. Runs in every process that serves.

A delivery is taken under a lease; one whose courier dies is sent again by another, under the same `webhook-id`.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from darkroom import __version__
from darkroom.db import deliveries
from darkroom.db.deliveries import Room
from darkroom.db.session import Database
from darkroom.delivery import policy, signing
from darkroom.delivery.secrets import Secrets
from darkroom.delivery.sending import TIMEOUT, Answer, send
from darkroom.errors import DatabaseUnavailable, NotFound
from darkroom.media.model import Attempt, Delivery
from darkroom.media.states import DeliveryState
from darkroom.security.egress import Egress
from darkroom.telemetry import metrics

log = structlog.get_logger(__name__)

AT_ONCE: Final = 32
TO_ONE_HOST: Final = 4
"""So that a target that is slow holds up no other."""
LEASE: Final = timedelta(seconds=4 * TIMEOUT)
BRISK: Final = 0.1
"""Seconds between looks while there is something to tell; else as long as the settings say."""
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
        self._ended = asyncio.Event()
        self._busy_until = float("-inf")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send while the context is open; then let what is under way end, or cut it off."""
        loop = asyncio.create_task(self._run(), name="courier")
        try:
            yield
        finally:
            loop.cancel()
            await asyncio.wait([loop])
            await self._finish()

    async def _run(self) -> None:
        while True:
            try:
                taken = await self._take()
            except DatabaseUnavailable as error:
                log.warning("courier_waits", reason=error.message)
                taken = 0
            except Exception:
                log.exception("courier_failed")
                taken = 0
            if not taken:
                await self._rest()

    async def _rest(self) -> None:
        """Wait for a place that becomes free, or for the time to look again."""
        now = asyncio.get_running_loop().time()
        pause = BRISK if now < self._busy_until else self._interval
        try:
            async with asyncio.timeout(pause):
                await self._ended.wait()
        except TimeoutError:
            pass
        self._ended.clear()

    async def _take(self) -> int:
        """Begin with what is due and has room; how many these are."""
        most = AT_ONCE - len(self._under_way)
        if most == 0:
            return 0
        room = Room(most, TO_ONE_HOST, Counter(delivery.host for delivery in self._under_way.values()))
        now = self._database.now()
        if not await self._database.read(deliveries.any_due, now):
            return 0
        claim = partial(deliveries.claim, room=room, now=now, until=now + LEASE)
        taken = await self._database.transact(claim)
        for delivery in taken:
            task = asyncio.create_task(self._deliver(delivery), name=f"delivery {delivery.id}")
            self._under_way[task] = delivery
            task.add_done_callback(self._forget)
        if taken:
            self._busy_until = asyncio.get_running_loop().time() + BUSY_FOR
        return len(taken)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._ended.set()

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
        now, ids = self._database.now(), [delivery.id for delivery in cut_off]
        try:
            await self._database.transact(lambda connection: deliveries.give_back(connection, ids, now))
        except DatabaseUnavailable as error:
            log.warning("deliveries_not_given_back", reason=error.message, deliveries=len(ids))

    # One delivery

    async def _deliver(self, delivery: Delivery) -> None:
        with structlog.contextvars.bound_contextvars(media_id=str(delivery.media_id), delivery_id=str(delivery.id)):
            try:
                at, answer = await self._told(delivery)
                await self._note(delivery, at, answer)
            except NotFound:
                log.debug("media_is_gone")  # and its deliveries with it
            except DatabaseUnavailable as error:
                log.warning("delivery_waits", reason=error.message)  # for its lease to run out
            except Exception:
                log.exception("delivery_failed")

    async def _told(self, delivery: Delivery) -> tuple[datetime, Answer]:
        """Tell one target one event; when, and what came of it."""
        body = await self._render(delivery)
        at = self._database.now()
        keys = [secret.secret for secret in await self._secrets.signing(delivery.owner)]
        signed = signing.headers(f"msg_{delivery.id.hex}", at, body.decode(), keys)
        answer = await send(self._egress, delivery.url, body, {**HEADERS, **signed})
        metrics.WEBHOOK_SECONDS.observe(answer.seconds)
        return at, answer

    async def _note(self, delivery: Delivery, at: datetime, answer: Answer) -> None:
        attempt = Attempt(at, round(answer.seconds, 3), answer.status, answer.error)
        attempts = [*delivery.attempts, attempt][-KEPT:]
        wait = policy.wait_after(delivery.tries, asked=answer.asked, rng=self._rng)
        state = _state_after(answer, is_last=wait is None)
        now = self._database.now()
        if state is DeliveryState.PENDING:
            assert wait is not None
            put_off = partial(deliveries.put_off, delivery=delivery, attempts=attempts, until=now + wait)
            held = await self._database.transact(put_off)
        else:
            end = partial(deliveries.end, delivery=delivery, state=state, attempts=attempts, at=now)
            held = await self._database.transact(end)
        if held:
            metrics.WEBHOOKS.labels("retried" if state is DeliveryState.PENDING else state.value).inc()
        if answer.error is not None:
            log.warning("webhook_not_told", event_of=delivery.event, tries=delivery.tries, reason=answer.error)


def _state_after(answer: Answer, *, is_last: bool) -> DeliveryState:
    if answer.error is None:
        return DeliveryState.DELIVERED
    if answer.status == 410:
        return DeliveryState.GONE
    return DeliveryState.FAILED if is_last else DeliveryState.PENDING
