"""Both clients of the SDK, spoken to in the same way."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import httpx2

from darkroom_client import AsyncDarkroom, Darkroom

Interfere = Callable[[int, httpx2.Request], None]
"""Is called with the number of a request, from 1, once it was answered; what it raises takes the answer's place."""


class Blocking:
    """An `AsyncDarkroom` that is called without `await`."""

    def __init__(self, client: AsyncDarkroom, loop: asyncio.Runner) -> None:
        self.client = client
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.client, name)
        return self._calling(attribute) if callable(attribute) else attribute

    def _calling(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            return self.settled(method(*args, **kwargs))

        return call

    def settled(self, result: Any) -> Any:
        """What a call gives in the end; the items of an iterator as they come."""
        if inspect.isasyncgen(result):
            return self._items(result)
        return self._loop.run(result) if inspect.iscoroutine(result) else result

    def _items(self, items: Any) -> Iterator[Any]:
        async def following() -> Any:
            return await anext(items)

        try:
            while True:
                try:
                    yield self._loop.run(following())
                except StopAsyncIteration:
                    return
        finally:
            self._loop.run(items.aclose())


def settled(client: Any, result: Any) -> Any:
    """What a call on a file of `client` gives in the end."""
    return client.settled(result) if isinstance(client, Blocking) else result


@contextmanager
def connected(kind: str, url: str, **options: Any) -> Iterator[Any]:
    """A client of the kind, `sync` or `async`."""
    if kind == "sync":
        with Darkroom(url, **options) as client:
            yield client
        return
    with asyncio.Runner() as loop:
        client_of_loop = loop.run(_opened(url, options))
        try:
            yield Blocking(client_of_loop, loop)
        finally:
            loop.run(client_of_loop.aclose())


async def _opened(url: str, options: dict[str, Any]) -> AsyncDarkroom:
    return AsyncDarkroom(url, **options)


class Meddling(httpx2.HTTPTransport):
    """Connects as usual; `interfere` sees what was answered."""

    def __init__(self, interfere: Interfere) -> None:
        super().__init__()
        self._interfere = interfere
        self._numbers = count(1)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        try:
            self._interfere(next(self._numbers), request)
        except BaseException:
            response.close()
            raise
        return response


class AsyncMeddling(httpx2.AsyncHTTPTransport):
    """The same, on an event loop."""

    def __init__(self, interfere: Interfere) -> None:
        super().__init__()
        self._interfere = interfere
        self._numbers = count(1)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        try:
            self._interfere(next(self._numbers), request)
        except BaseException:
            await response.aclose()
            raise
        return response


def meddling(kind: str, interfere: Interfere) -> httpx2.HTTPTransport | httpx2.AsyncHTTPTransport:
    """A transport for the kind of client."""
    return Meddling(interfere) if kind == "sync" else AsyncMeddling(interfere)
