"""Workers on any machine: a wake-up is a Celery task in the lane's queue, sent by name from a thread of its own."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import structlog

from darkroom.dispatch.queues import PATIENCE, TASK, Queues, celery_of
from darkroom.errors import BrokerUnavailable

log = structlog.get_logger(__name__)

Counted = Callable[[str, str, int], None]

PAUSE = 1.0
"""Seconds without another attempt after one that failed."""

SILENT = "the broker does not answer"

FLUSH = 2.0
"""Seconds for sending what is waiting when the process ends."""


@dataclass(slots=True)
class _Errands:
    """What the thread is to do: tickets to send, depths to reach, checks to answer."""

    tickets: Counter[str] = field(default_factory=Counter)
    depths: dict[str, int] = field(default_factory=dict)
    checks: list[Future[None]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.tickets or self.depths or self.checks)


class CeleryDispatcher:
    """One thread sends everything, so that a broker that does not answer holds up nobody.

    What cannot be sent is dropped: the janitor reminds.
    """

    def __init__(self, queues: Queues, *, counted: Counted) -> None:
        """`counted` hears, on a thread, of the lane, the fate and the number of tickets: sent, resent or dropped."""
        self._sender = _Sender(queues, counted)
        self._changed = threading.Condition()
        self._errands = _Errands()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def location(self) -> str:
        return self._sender.queues.location

    def wake(self, lane: str, n: int = 1) -> None:
        with self._changed:
            self._errands.tickets[lane] += n
            self._notify()

    def remind(self, lane: str, due: int) -> None:
        with self._changed:
            self._errands.depths[lane] = due
            self._notify()

    async def check(self) -> None:
        answer: Future[None] = Future()
        with self._changed:
            self._errands.checks.append(answer)
            self._notify()
        if self._sender.failing:  # as it was last seen: whoever asks often is answered at once
            raise BrokerUnavailable(SILENT)
        try:
            await asyncio.wait_for(asyncio.wrap_future(answer), PATIENCE)
        except TimeoutError:
            raise BrokerUnavailable(SILENT) from None

    async def aclose(self) -> None:
        self._closing.set()
        with self._changed:
            self._changed.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, FLUSH)

    def _notify(self) -> None:
        """Have the thread look, and start it at first use. The caller holds the lock."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="tickets", daemon=True)
            self._thread.start()
        self._changed.notify()

    def _run(self) -> None:
        while errands := self._next():
            if not self._sender.run(errands):
                self._closing.wait(PAUSE)
        self._sender.close()

    def _next(self) -> _Errands:
        """What has come together; nothing once it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._errands or self._closing.is_set())
            errands, self._errands = self._errands, _Errands()
            return errands


class _Sender:
    """The thread's connection to the broker, made at first use and anew after a failure."""

    def __init__(self, queues: Queues, counted: Counted) -> None:
        self.queues = queues
        self.failing = False
        self._counted = counted
        self._app = celery_of(queues)
        self._connection: Any = None
        self._producer: Any = None

    def run(self, errands: _Errands) -> bool:
        """Do all of it; False: the broker did not answer, and what is left is dropped."""
        try:
            self._connect()
            for check in errands.checks:
                self._depth(self.queues.lanes[0])
                _answer(check, None)
            self._send(errands.tickets, "sent")
            for lane, due in errands.depths.items():
                self._send(Counter({lane: due - self._depth(lane)}), "resent")
        except Exception as error:  # noqa: BLE001 - both transports and what is below them have their own
            self._failed(error, errands)
            return False
        if self.failing:
            log.info("broker_is_back", broker=self.queues.location)
        self.failing = False
        return True

    def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._connection.release()

    def _connect(self) -> None:
        if self._connection is None:
            self._connection = self._app.connection_for_write()
            self._connection.ensure_connection(max_retries=1, interval_start=0)
            self._producer = self._app.amqp.Producer(self._connection, auto_declare=False)

    def _send(self, tickets: Counter[str], fate: str) -> None:
        """Send `tickets`, each taken out of it once it is sent."""
        for lane in tickets:
            queue = self.queues.queue(lane)
            while tickets[lane] > 0:
                self._app.send_task(TASK, queue=queue, producer=self._producer)
                tickets[lane] -= 1
                self._counted(lane, fate, 1)

    def _depth(self, lane: str) -> int:
        """How many tickets wait in the queue of `lane`, which is made if it is not there."""
        queue: Any = self.queues.queue(lane)
        return int(queue.queue_declare(channel=self._connection.default_channel).message_count)

    def _failed(self, error: Exception, errands: _Errands) -> None:
        if not self.failing:
            log.warning("broker_does_not_answer", broker=self.queues.location, error=repr(error))
        self.failing = True
        if self._connection is not None:
            self._connection.collect(socket_timeout=1)
        self._connection = None
        for lane, left in errands.tickets.items():
            self._counted(lane, "dropped", left)
        for check in errands.checks:
            _answer(check, BrokerUnavailable(SILENT))


def _answer(check: Future[None], error: BrokerUnavailable | None) -> None:
    """Answer a check whose asker may have gone, or that was answered already."""
    if check.done() or not check.set_running_or_notify_cancel():
        return
    if error is None:
        check.set_result(None)
    else:
        check.set_exception(error)
