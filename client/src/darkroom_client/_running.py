"""Does what programs say, in the thread that calls."""

import time
from collections.abc import Generator, Iterator
from contextlib import closing
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


class Runner:
    """Runs programs over a client, in as many threads as you like."""

    def __init__(self, client: httpx2.Client, timeout: float | None) -> None:
        self._client = client
        self._timeout = timeout

    def run(self, program: Program[T]) -> T:
        """The result of a program."""
        with closing(_Hands(self._client, self._timeout)) as hands, closing(program):
            step = hands.begin(program)
            while not isinstance(step, Done):
                step = hands.go_on(program, step)
            result: T = step.result
            return result

    def iterate(self, program: Producer) -> Generator[Any, None, None]:
        """The items of a program, each when it is asked for."""
        with closing(_Hands(self._client, self._timeout)) as hands, closing(program):
            step = hands.begin(program)
            while not isinstance(step, Done):
                if isinstance(step, Emit):
                    yield step.item
                step = hands.go_on(program, step)


class _Hands:
    """What one program does, and has open."""

    def __init__(self, client: httpx2.Client, timeout: float | None) -> None:
        self._client = client
        self._timeout = timeout
        self._response: httpx2.Response | None = None
        self._chunks: Iterator[bytes] = iter(())

    def begin(self, program: Generator[Any, Any, Any]) -> Effect | Emit | Done:
        """What is to be done first."""
        first: Effect | Emit | Done = self.go_on(program, None)
        return first

    def go_on(self, program: Generator[Any, Any, Any], step: Effect | Emit | None) -> Any:
        """Do a step; what is to be done next."""
        try:
            try:
                result = self._do(step)
            except Exception as error:  # noqa: BLE001 - the program decides
                return program.throw(error)
            return program.send(result)
        except StopIteration as stop:
            return Done(stop.value)

    def _do(self, step: Effect | Emit | None) -> Any:
        match step:
            case Send(request=request):
                return self._send(request)
            case Open(request=request):
                return self._open(request)
            case Read():
                return self._read()
            case Close():
                self.close()
            case Pause(seconds=seconds):
                time.sleep(seconds)
            case Work(function=function):
                return function()
            case Tell(listener=listener, value=value):
                listener(value)
        return None

    def close(self) -> None:
        """Close what is open."""
        response, self._response, self._chunks = self._response, None, iter(())
        if response is not None:
            response.close()

    def _send(self, request: Request) -> Answer:
        try:
            response = self._client.send(self._client.build_request(**arguments(request, self._timeout)))
        except httpx2.RequestError as error:
            raise failure(error, self._client.base_url) from error
        return answer_of(response, response.content)

    def _open(self, request: Request) -> Answer:
        self.close()
        built = self._client.build_request(**arguments(request, self._timeout, is_open=True))
        try:
            self._response = response = self._client.send(built, stream=True)
            content = b"" if response.is_success else response.read()
        except httpx2.RequestError as error:
            raise failure(error, self._client.base_url) from error
        self._chunks = response.iter_bytes() if response.is_success else iter(())
        return answer_of(response, content)

    def _read(self) -> bytes | None:
        try:
            return next(self._chunks, None)
        except httpx2.RequestError as error:
            raise failure(error, self._client.base_url) from error
