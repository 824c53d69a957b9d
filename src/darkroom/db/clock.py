"""The time that all processes agree on: a database server's.

A process does not ask for it each time: it measures how far the server's clock is from its own steady one, which
nobody sets, and adds that up.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Connection, func, select

from darkroom.errors import DatabaseUnavailable

log = structlog.get_logger(__name__)

EVERY = 10.0
"""Seconds between two measurements."""

RETRY = 1.0
"""Seconds until the next, when one has failed."""

PATIENCE = 3.0
"""Seconds that a start waits for the first."""

SAMPLES = 3
_ASK = select(func.clock_timestamp())

Now = Callable[[], datetime]


def utc_now() -> datetime:
    """The time of this machine, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Sample:
    """The server's time when the steady clock showed `steady`; `width`: seconds that asking took."""

    server: datetime
    steady: float
    width: float


def measure(connection: Connection) -> Sample:
    """Ask the server for its time, a few times; the quickest answer tells it best. It is true to half its width."""
    return min((_sample(connection) for _ in range(SAMPLES)), key=lambda sample: sample.width)


def _sample(connection: Connection) -> Sample:
    before = time.monotonic()
    server = connection.execute(_ASK).scalar_one()
    after = time.monotonic()
    return Sample(server.astimezone(UTC), (before + after) / 2, after - before)


class ServerClock:
    """The server's time. While it cannot be measured, as last measured; before the first time, this machine's.

    What is written then would carry a time that others do not share: see `is_unset`.
    """

    def __init__(self, ask: Callable[[], Awaitable[Sample]], *, wall: Now = utc_now) -> None:
        self._ask = ask
        self._follow(Sample(wall(), time.monotonic(), 0.0))
        self._tried = asyncio.Event()
        self.is_unset = False
        """Whether it runs, and no measurement has come yet."""

    def now(self) -> datetime:
        """The time, in UTC."""
        return self._origin + timedelta(seconds=time.monotonic())

    def _follow(self, sample: Sample) -> None:
        self._origin = sample.server - timedelta(seconds=sample.steady)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep measuring while the context is open. It opens after the first try, or when that takes long."""
        self.is_unset = True
        task = asyncio.create_task(self._keep_measuring(), name="clock")
        try:
            with suppress(TimeoutError):  # a database that hangs: the clock goes on trying
                async with asyncio.timeout(PATIENCE):
                    await self._tried.wait()
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _keep_measuring(self) -> None:
        while True:
            is_measured = await self._measure()
            self._tried.set()
            await asyncio.sleep(EVERY if is_measured else RETRY)

    async def _measure(self) -> bool:
        try:
            sample = await self._ask()
        except DatabaseUnavailable as error:
            say = log.warning if self._tried.is_set() else log.debug  # who opens a database hears of it himself
            say("clock_not_measured", reason=error.message)
            return False
        except Exception:
            log.exception("clock_not_measured")
            return False
        self._follow(sample)
        self.is_unset = False
        return True
