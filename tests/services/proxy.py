"""A TCP proxy with bad weather: connections that are cut, stalled or slow, and heal."""

import asyncio
import random
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

T = TypeVar("T")
CHUNK = 65536


class Proxy:
    """Passes bytes on to `target` (host, port), as its weather allows; `with` it is open."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._listener: socket.socket | None = None
        self._joining: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        """Of every connection so far."""
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._delay = (0.0, 0.0)
        self.port = 0

    def __enter__(self) -> "Proxy":
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        self._do(self._cut())

    def stall(self) -> None:
        """Accept and keep connections, and pass nothing on."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def delay(self, latency: float, jitter: float = 0.0) -> None:
        """Hold each chunk back for `latency` seconds, and up to `jitter` more."""
        self._delay = (latency, jitter)

    def heal(self) -> None:
        """Be as at first. Of a stalled connection, nothing is lost."""
        self._delay = (0.0, 0.0)
        self._loop.call_soon_threadsafe(self._flowing.set)
        self._do(self._listen())

    @contextmanager
    def away(self) -> Iterator[None]:
        """Be cut while the context is open."""
        self.cut()
        yield
        self.heal()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> None:
        if self._listener is None:
            listener = self._listener = socket.create_server(("127.0.0.1", self.port))
            listener.setblocking(False)
            self.port = listener.getsockname()[1]
            self._loop.add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        """Take a connection. Anything that could be cancelled between taking and keeping it would leave it open."""
        with suppress(BlockingIOError):
            accepted, _ = listener.accept()
            joining = self._loop.create_task(self._join(accepted))
            self._joining.add(joining)
            joining.add_done_callback(self._joining.discard)

    async def _cut(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            self._loop.remove_reader(listener)
            listener.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _close(self) -> None:
        await self._cut()
        self._flowing.set()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)
        await self._cut()

    async def _join(self, accepted: socket.socket) -> None:
        listener = self._listener
        reader, near = await asyncio.open_connection(sock=accepted)
        self._writers.add(near)
        try:
            answers, far = await asyncio.open_connection(*self._target)
        except OSError:
            near.transport.abort()
            return
        if listener is None or self._listener is not listener:  # cut while this connection was being made
            near.transport.abort()
            far.transport.abort()
            return
        self._writers.add(far)
        await asyncio.gather(self._pass_on(reader, far), self._pass_on(answers, near))

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await source.read(CHUNK):
                await self._weather()
                sink.write(chunk)
                await sink.drain()
        sink.close()

    async def _weather(self) -> None:
        latency, jitter = self._delay
        if latency or jitter:
            await asyncio.sleep(latency + random.uniform(0, jitter))
        await self._flowing.wait()
