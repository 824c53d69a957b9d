"""The one way to a Darkroom, running elsewhere or opened in this process: its native API."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2

from darkroom.cli.exits import REFUSED, UNREACHABLE, CommandError

if TYPE_CHECKING:
    from darkroom.engine.core import Engine

PATIENCE = 30.0
"""Seconds for an answer."""

Json = dict[str, Any]

_AFTER_SENDING = (httpx2.ReadError, httpx2.ReadTimeout, httpx2.RemoteProtocolError)


class Unreachable(CommandError):
    """No answer, or none that can be used: asking again later may help."""

    def __init__(self, message: str) -> None:
        super().__init__(message, UNREACHABLE)


class AnswerLost(Unreachable):
    """The connection broke after the request was sent: it may have been followed."""


class Refused(CommandError):
    """The API's answer is a problem. `status` is that of HTTP."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, REFUSED)
        self.status = status


class Api:
    """The native API. Every call may raise `Unreachable` and `Refused`.

    `engine` is what serves it if that is this process, else None.
    """

    def __init__(self, client: httpx2.AsyncClient, *, location: str, engine: "Engine | None" = None) -> None:
        self._client = client
        self.location = location
        self.engine = engine

    async def get(self, path: str, parameters: Mapping[str, Any] | None = None) -> Json:
        """The JSON at `path`; parameters that are None are left out."""
        given = {name: value for name, value in (parameters or {}).items() if value is not None}
        return self._json(await self._send("GET", path, params=given))

    async def get_whatever(self, path: str) -> Json:
        """The JSON at `path`, whatever the status: `/readyz` says what is wrong with 503."""
        return self._json(await self._answer("GET", path))

    async def post(self, path: str, body: Json | None = None, headers: Mapping[str, str] | None = None) -> Json:
        """The JSON that answers `body`."""
        return self._json(await self._send("POST", path, json=body, headers=headers))

    async def upload(self, name: str, content: bytes) -> Json:
        """What is known of a picture that is now kept there."""
        return self._json(await self._send("POST", "/files", files={"file": (name, content)}))

    async def delete(self, path: str) -> None:
        """Delete what is at `path`."""
        await self._send("DELETE", path)

    async def content(self, path: str) -> bytes:
        """The bytes at `path`."""
        return (await self._send("GET", path)).content

    async def _send(self, method: str, path: str, **request: Any) -> httpx2.Response:
        response = await self._answer(method, path, **request)
        if not response.is_success:
            raise self._problem(response)
        return response

    async def _answer(self, method: str, path: str, **request: Any) -> httpx2.Response:
        try:
            return await self._client.request(method, path, **request)
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            kind = AnswerLost if isinstance(error, _AFTER_SENDING) else Unreachable
            raise kind(f"{self.location} does not answer: {str(error) or type(error).__name__}") from error

    def _json(self, response: httpx2.Response) -> Json:
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Unreachable(f"what answers at {self.location} is no Darkroom")
        return answer

    def _problem(self, response: httpx2.Response) -> CommandError:
        try:
            problem = response.json()
            fields = [f"{error['field']}: {error['message']}" for error in problem.get("errors", ())]
            detail = "; ".join(fields) or str(problem["detail"])
        except (ValueError, KeyError, TypeError, AttributeError):
            detail = f"{self.location} answers {response.status_code} {response.reason_phrase}"
        if response.is_server_error:
            return Unreachable(detail)
        return Refused(detail, response.status_code)


@asynccontextmanager
async def connected(server: str | None, *, stored: bool = True) -> AsyncIterator[Api]:
    """The Darkroom at `server`, or (None) one opened in this process. Raises `CommandError`, `DatabaseUnavailable`.

    `stored`: whether what is stored will be asked for, so that the database must be there.
    """
    async with AsyncExitStack() as stack:
        if server is None:
            from darkroom.cli import local

            yield await stack.enter_async_context(local.opened(stored=stored))
        else:
            if urlsplit(server).scheme not in ("http", "https"):
                raise CommandError(f"--server {server}: an address starts with http:// or https://", REFUSED)
            client = httpx2.AsyncClient(base_url=server, timeout=PATIENCE)
            yield Api(await stack.enter_async_context(client), location=server)
