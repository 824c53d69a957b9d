"""A bus between all processes that use one PostgreSQL, by LISTEN and NOTIFY."""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import structlog

from darkroom.events import wire
from darkroom.events.base import Listener
from darkroom.events.memory import MemoryBus
from darkroom.media.events import TRAVELLING, News
from darkroom.media.policy import Backoff

log = structlog.get_logger(__name__)

CHANNEL = "darkroom"
GATHER = 0.003
"""Seconds in which news gathers before it is sent."""
LONGEST_QUEUE = 10_000
"""Events that wait to be sent; beyond that the oldest are forgotten."""
PING = 5.0
"""Seconds of silence after which the connection is tried."""
PATIENCE = 5.0
"""Seconds that the server gets to answer: a dead connection is noticed after `PING` + `PATIENCE` at the latest."""
GOODBYE = 1.0
"""Seconds to send what is left when the process stops."""
WORTH_A_LINE = 3
"""Failures in a row before it is said: a start that cannot be has a better line, a short break needs none."""
TRYING_AGAIN = Backoff(base=0.2, cap=5.0)
_RNG = secrets.SystemRandom()

Connection = Any
"""Of asyncpg, which has no types."""


class PostgresBus:
    """Tells listeners of this process at once, and those of others over a connection of its own.

    While there is no connection, only this process hears; the bus goes on trying, and nothing else stops.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._connect = connect
        self._here = MemoryBus()
        self._name = secrets.token_hex(6)
        self._waiting: deque[News] = deque(maxlen=LONGEST_QUEUE)
        self._arrived = asyncio.Event()
        self._closing = asyncio.Event()
        self._interrupted = False

    def publish(self, event: News) -> None:
        self._here.publish(event)
        if isinstance(event, TRAVELLING):
            self._waiting.append(event)
            self._arrived.set()

    def listening(self, media_id: UUID | None, listener: Listener) -> AbstractContextManager[None]:
        return self._here.listening(media_id, listener)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["PostgresBus"]:
        """Be connected while the context is open; then send what is left, if that can be done within a second."""
        connection = asyncio.create_task(self._stay_connected(), name="bus")
        try:
            yield self
        finally:
            self._closing.set()
            self._arrived.set()
            await asyncio.wait([connection], timeout=GOODBYE)
            connection.cancel()
            await asyncio.gather(connection, return_exceptions=True)

    async def _stay_connected(self) -> None:
        failures = 0
        while not self._closing.is_set():
            try:
                connection = await self._connect()
                try:
                    await self._listen(connection)
                    failures = 0
                    await self._talk(connection)
                finally:
                    await _hang_up(connection)
            except Exception as error:  # noqa: BLE001 - whatever it is, the service goes on without this news
                failures += 1
                if failures == WORTH_A_LINE:
                    self._say_interrupted(error)
                await self._rest(TRYING_AGAIN.seconds(failures - 1, _RNG))

    async def _listen(self, connection: Connection) -> None:
        connection.add_termination_listener(lambda _: self._arrived.set())
        async with asyncio.timeout(PATIENCE):
            await connection.add_listener(CHANNEL, self._hear)
        if self._interrupted:
            log.info("news_connected_again")
        self._interrupted = False

    async def _talk(self, connection: Connection) -> None:
        """Send what is published, and look after silence whether the server is still there."""
        while self._waiting or not self._closing.is_set():
            try:
                async with asyncio.timeout(PING):
                    await self._arrived.wait()
            except TimeoutError:
                await connection.execute("SELECT 1", timeout=PATIENCE)
                continue
            if connection.is_closed():
                raise ConnectionResetError("the server closed the connection")
            await asyncio.sleep(GATHER)
            await self._send(connection)

    async def _send(self, connection: Connection) -> None:
        self._arrived.clear()
        encoded = [wire.encode(event) for event in self._waiting]
        self._waiting.clear()
        for payload in wire.pack(self._name, encoded):
            if len(payload.encode()) > wire.LARGEST:
                log.debug("news_too_large", bytes=len(payload))
                continue
            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, payload, timeout=PATIENCE)

    def _hear(self, connection: object, pid: int, channel: str, payload: object) -> None:
        assert isinstance(payload, str)
        if wire.sender_of(payload) != self._name:
            for event in wire.unpack(payload, self._here.hears):
                self._here.publish(event)

    def _say_interrupted(self, error: Exception) -> None:
        log.warning("news_interrupted", reason=f"{type(error).__name__}: {error}", kept=LONGEST_QUEUE)
        self._interrupted = True

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()


async def _hang_up(connection: Connection) -> None:
    try:
        await connection.close(timeout=GOODBYE)
    except (OSError, TimeoutError):
        connection.terminate()
