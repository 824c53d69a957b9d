"""Does what programs say, on an event loop."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import aclosing, closing
from typing import Any, TypeVar

import httpx2

from darkroom_client._effects import (
    Answer,
    Close,
    Done,
    Effect,
    Emit,
    Open,
    Pause,
    Producer,
    Program,
    Read,
    Request,
    Send,
    Tell,
    Work,
)
from darkroom_client._http import answer_of, arguments, failure

T = TypeVar("T")


class AsyncRunner:
    """Runs programs over a client, as many at once as you like."""

    def __init__(self, client: httpx2.AsyncClient, timeout: float | None) -> None:
        self._client = client
        self._timeout = timeout

    async def run(self, program: Program[T]) -> T:
        """The result of a program."""
        async with aclosing(_Hands(self._client, self._timeout)) as hands:
            with closing(program):
                step = await hands.begin(program)
                while not isinstance(step, Done):
                    step = await hands.go_on(program, step)
                result: T = step.result
                return result

    async def iterate(self, program: Producer) -> AsyncGenerator[Any, None]:
        """The items of a program, each when it is asked for."""
        async with aclosing(_Hands(self._client, self._timeout)) as hands:
            with closing(program):
                step = await hands.begin(program)
                while not isinstance(step, Done):
                    if isinstance(step, Emit):
                        yield step.item
                    step = await hands.go_on(program, step)


class _Hands:
    """What one program does, and has open."""

    def __init__(self, client: httpx2.AsyncClient, timeout: float | None) -> None:
        self._client = client
        self._timeout = timeout
        self._response: httpx2.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None

    async def begin(self, program: Generator[Any, Any, Any]) -> Effect | Emit | Done:
        """What is to be done first."""
        first: Effect | Emit | Done = await self.go_on(program, None)
        return first

    async def go_on(self, program: Generator[Any, Any, Any], step: Effect | Emit | None) -> Any:
        """Do a step; what is to be done next."""
        try:
            try:
                result = await self._do(step)
            except Exception as error:  # noqa: BLE001 - the program decides
                return program.throw(error)
            return program.send(result)
        except StopIteration as stop:
            return Done(stop.value)

    async def _do(self, step: Effect | Emit | None) -> Any:
        match step:
            case Send(request=request):
                return await self._send(request)
            case Open(request=request):
                return await self._open(request)
            case Read():
                return await self._read()
            case Close():
                await self.aclose()
            case Pause(seconds=seconds):
                await asyncio.sleep(seconds)
            case Work(function=function):
                return await asyncio.to_thread(function)
            case Tell(listener=listener, value=value):
                if inspect.isawaitable(waiting := listener(value)):
                    await waiting
        return None

    async def aclose(self) -> None:
        """Close what is open."""
        response, self._response, self._chunks = self._response, None, None
        if response is not None:
            await response.aclose()

    async def _send(self, request: Request) -> Answer:
        try:
            response = await self._client.send(self._client.build_request(**arguments(request, self._timeout)))
        except httpx2.RequestError as error:
            raise failure(error, self._client.base_url) from error
        return answer_of(response, response.content)

    async def _open(self, request: Request) -> Answer:
        await self.aclose()
        built = self._client.build_request(**arguments(request, self._timeout, is_open=True))
        try:
            self._response = response = await self._client.send(built, stream=True)
            content = b"" if response.is_success else await response.aread()
        except httpx2.RequestError as error:
            raise failure(error, self._client.base_url) from error
        self._chunks = response.aiter_bytes() if response.is_success else None
        return answer_of(response, content)

    async def _read(self) -> bytes | None:
        if self._chunks is None:
            return None
        try:
            return await anext(self._chunks, None)
        except httpx2.RequestError as error:
            raise failure(error, self._client.base_url) from error
