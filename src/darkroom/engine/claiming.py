"""Two ways to see that a worker claims: as long as there is work, or once for each ticket that a broker hands out."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from darkroom.engine.worker import Worker

PAUSE = 1.0
"""Seconds between claims while the database does not answer."""

BREATH = 0.002
"""Seconds between a slot that comes free, when none was, and the next claim: one claim follows several jobs."""

Job = asyncio.Task[None]


class Claimer:
    """Keeps the slots of a worker filled. `due` returns when the lane may have a job."""

    def __init__(self, worker: Worker, due: Callable[[], Awaitable[None]]) -> None:
        self.lane = worker.lane
        self._worker = worker
        self._due = due

    async def run(self) -> None:
        """Claim until the worker is to stop. The lane is to be woken then, so that this notices."""
        while not self._worker.stopping:
            free = self._worker.free
            if free <= 0:
                await self._worker.change()
                await asyncio.sleep(BREATH)
                continue
            started = await self._worker.claim(free)
            if started is None:
                await asyncio.sleep(PAUSE)
            elif len(started) < free and not self._worker.stopping:
                await self._due()


class Tickets:
    """Redeems the tickets of a lane: each is for one claim, and those that are at hand are claimed for together."""

    def __init__(self, worker: Worker) -> None:
        self.lane = worker.lane
        self._worker = worker
        self.late = 0
        self._owed = 0
        self._waiting: deque[asyncio.Future[Job | None]] = deque()

    async def redeem(self) -> None:
        """Claim a job and return when it has ended; return at once if none is due.

        A lane that is full lets the ticket go and owes it a claim, made when a slot comes free. Once the worker is
        to stop, tickets are `late`: they are to be handed on, as there may be jobs for them.
        """
        if self._worker.stopping:
            self.late += 1
            return
        ticket: asyncio.Future[Job | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(ticket)
        self._worker.changed()
        job = await ticket
        if job is not None:
            await asyncio.wait([job])

    async def run(self) -> None:
        """Claim for the tickets that come, until the worker is to stop and none is left."""
        while True:
            most = min(self._worker.free, len(self._waiting) + self._owed)
            if most > 0:
                await self._claim(most)
            else:
                self._let_go()
                if self._worker.stopping:
                    return
                await self._worker.change()

    async def _claim(self, most: int) -> None:
        """Claim for those who wait, then for what is owed."""
        tickets = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        self._owed -= most - len(tickets)
        jobs = await self._worker.claim(most) or []
        for ticket in tickets:
            ticket.set_result(jobs.pop() if jobs else None)

    def _let_go(self) -> None:
        """Let those go that wait: no slot is free for them."""
        if self._worker.stopping:
            self.late += len(self._waiting)
        self._owed = min(self._owed + len(self._waiting), self._worker.concurrency)
        while self._waiting:
            self._waiting.popleft().set_result(None)
