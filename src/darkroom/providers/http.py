"""Calls to a backend over HTTP, and what their failures mean.

What matters is what is known afterwards. A call that costs money (`create`) is made once: where the answer got lost,
nobody knows whether the backend took it, and `SubmissionUncertain` says so. Calls that may be repeated (`ask`,
`download`) are, a few times; then `Interrupted` says that whatever runs there goes on. So it does while a backend
refuses a call about what it has accepted (`look`, `poll`, `download`): only what an adapter knows to be its end is one.
"""

import asyncio
import json
import math
import random
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, Final, TypeVar

import httpx2

from darkroom.errors import (
    AccountRefused,
    Interrupted,
    InvalidOutput,
    OutputExpired,
    OutputTooLarge,
    Permanent,
    ProviderError,
    SubmissionUncertain,
    Throttled,
    Transient,
)
from darkroom.providers.origins import Origin
from darkroom.providers.parameters import picture_of

TIMEOUT: Final = 60.0
MOST_BYTES: Final = 256 * 1024 * 1024
"""Larger answers are not read to their end, whatever the backend says."""
MOST_JSON: Final = 64 * 1024 * 1024
TIMES: Final = 4
"""How often a call is made that may be repeated."""
FIRST_REST: Final = 0.25
SLOWEST: Final = 8
"""How many times its first rest a poll rests at most."""
MOST_REDIRECTS: Final = 5
LONGEST_WORDS: Final = 500
LONGEST_WAIT: Final = 86_400.0
HIDDEN: Final = b"***"
SHORTEST: Final = 8
"""Characters of a secret; shorter ones are not looked for in answers: they could be any word."""

LOST_ANSWERS: Final = frozenset({408, 502, 504, 520, 522, 523, 524})
"""Statuses of what stands between us and the backend: it may have taken the request all the same."""

_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)

T = TypeVar("T")

Headers = Callable[[], Mapping[str, str]]
Refusal = Callable[[httpx2.Response, Any], ProviderError | None]
"""What a backend means by an answer that is no success, given its JSON if it is any; None: what its status says."""


class Backend:
    """One account at one backend. `name` is what messages call it.

    `url`: what paths are below. `authorization`: sent to that origin and to `origins`, and nowhere else. `timeout`:
    seconds that an answer may be silent for. `headers`: those of the current trace. Raises `ValueError`.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        authorization: Mapping[str, str] | None = None,
        origins: Iterable[str] = (),
        timeout: float = TIMEOUT,
        headers: Headers | None = None,
        refusal: Refusal | None = None,
    ) -> None:
        self.name = name
        self.url = url.rstrip("/")
        self._authorization = dict(authorization or {})
        self._secrets = [secret for value in self._authorization.values() if len(secret := _secret(value)) >= SHORTEST]
        self._trusted = (Origin.of(self.url), *map(Origin.read, origins))
        self._timeout = timeout
        self._headers = headers or dict
        self._refusal = refusal
        self._client: httpx2.AsyncClient | None = None

    async def create(self, path: str, **request: Any) -> Any:
        """`POST` what costs money, once; the JSON of the answer.

        Raises `Transient` where it certainly was not sent or not taken, `SubmissionUncertain` where that is not
        known, and what the answer means.
        """
        async with self.creating(path, **request) as response:
            return await self.created(response)

    async def created(self, response: httpx2.Response, *, most: int = MOST_JSON) -> Any:
        """The JSON of an answer to `creating`. Raises `SubmissionUncertain` if it is none, `OutputTooLarge`."""
        try:
            return self._parsed(await self._read(response, most))
        except ValueError as error:
            raise SubmissionUncertain(f"{self.name} took the request and answered with what is not JSON") from error

    @asynccontextmanager
    async def creating(self, path: str, **request: Any) -> AsyncIterator[httpx2.Response]:
        """As `create`, for an answer that is read as it comes: a stream that breaks off is `SubmissionUncertain`."""
        try:
            async with self._open().stream("POST", self._at(path), **self._with_headers(path, request)) as response:
                if not response.is_success:
                    await self._refuse(response, creating=True)
                yield response
        except _NOT_SENT as error:
            raise Transient(f"{self.name} cannot be reached: {_words(error)}") from error
        except httpx2.RequestError as error:
            raise SubmissionUncertain(
                f"the answer of {self.name} got lost ({_words(error)}): it may have taken the request"
            ) from error

    async def ask(self, method: str, path: str, *, times: int = TIMES, **request: Any) -> Any:
        """Make a call that may be repeated; the JSON of the answer (None for an empty one).

        A backend that does not answer, answers 5xx or answers with what is no JSON is asked again, `times` in all.
        Then raises `Interrupted`; raises `Throttled` at once, and what the answer means.
        """

        async def once() -> Any:
            async with self._open().stream(method, self._at(path), **self._with_headers(path, request)) as response:
                if not response.is_success:
                    await self._refuse(response)
                content = await self._read(response, MOST_JSON)
            try:
                return self._parsed(content) if content.strip() else None
            except ValueError as error:
                raise Interrupted(f"{self.name} answered with something that is not JSON") from error

        return await self._repeatedly(once, times)

    async def look(self, path: str, *, rest: float) -> Any:
        """`ask` how something does that was accepted.

        While the backend takes no more calls, it is left alone for as long as it says, or for `rest` seconds. Raises
        what the adapter says that an answer means, and `Interrupted` for any other refusal.
        """
        while True:
            try:
                with _going_on(self.name):
                    return await self.ask("GET", path)
            except Throttled as error:
                await asyncio.sleep(max(rest, error.retry_after or 0.0))

    async def poll(self, path: str, *, first: float) -> AsyncGenerator[Any, None]:
        """`look` again and again, with rests that grow from `first` seconds to `SLOWEST` times that."""
        rest = first
        while True:
            yield await self.look(path, rest=rest)
            await asyncio.sleep(rest)
            rest = min(rest * 1.5, first * SLOWEST)

    async def download(self, url: str, *, most: int = MOST_BYTES) -> bytes:
        """The bytes at `url`, whole. Raises `OutputExpired`, `OutputTooLarge`; `Interrupted` if they cannot be had."""

        async def once() -> bytes:
            async with self._redirected(url) as response:
                if response.status_code in (403, 404, 410):
                    raise OutputExpired(f"{self.name} does not have the picture any more ({response.status_code})")
                if not response.is_success:
                    await self._refuse(response)
                return await self._read(response, most)

        try:
            with _going_on(self.name):
                return await self._repeatedly(once, TIMES)
        except Throttled as error:
            raise Interrupted(error.message, retry_after=error.retry_after) from error

    async def picture(self, url: str) -> bytes:
        """A picture of a result, out of its `data:` URI or from where it is. Raises `InvalidOutput`; see `download`."""
        if not url.startswith("data:"):
            return await self.download(url)
        try:
            return picture_of(url)[1]
        except Permanent as error:
            raise InvalidOutput(f"{self.name} made something that is no picture: {error.message}") from error

    async def aclose(self) -> None:
        """Close the connections. May be called twice."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    @asynccontextmanager
    async def streaming(self, method: str, path: str, **request: Any) -> AsyncIterator[httpx2.Response]:
        """An answer that is read as it comes, of a call that costs nothing. `Interrupted`: it broke off."""
        try:
            async with self._open().stream(method, self._at(path), **self._with_headers(path, request)) as response:
                if not response.is_success:
                    await self._refuse(response)
                yield response
        except httpx2.RequestError as error:
            raise Interrupted(f"{self.name} broke off: {_words(error)}") from error

    def _open(self) -> httpx2.AsyncClient:
        if self._client is None:
            self._client = httpx2.AsyncClient(
                timeout=httpx2.Timeout(self._timeout, connect=min(10.0, self._timeout)),
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
                follow_redirects=False,
                trust_env=False,
                verify=_tls(),
            )
        return self._client

    @asynccontextmanager
    async def _redirected(self, url: str) -> AsyncIterator[httpx2.Response]:
        """What a GET of `url` leads to. Each redirect is followed as a call of its own: not every place is trusted."""
        for _ in range(MOST_REDIRECTS):
            async with self._open().stream("GET", url, **self._with_headers(url, {})) as response:
                if response.next_request is None:
                    yield response
                    return
                url = str(response.next_request.url)
        raise Permanent(f"{self.name} redirects more than {MOST_REDIRECTS} times")

    def _at(self, path: str) -> str:
        return path if path.startswith(("http://", "https://")) else f"{self.url}/{path.lstrip('/')}"

    def _with_headers(self, path: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Credentials go to our backend's own origin and those that we trust, and nowhere else that it may name."""
        trusted = any(origin.covers(self._at(path)) for origin in self._trusted)
        credentials = self._authorization if trusted else {}
        return {**request, "headers": {**self._headers(), **credentials, **request.get("headers", {})}}

    async def _repeatedly(self, once: Callable[[], Awaitable[T]], times: int) -> T:
        for n in range(times):
            try:
                return await once()
            except (httpx2.RequestError, Transient) as error:
                if n == times - 1:
                    if isinstance(error, Interrupted):
                        raise
                    raise Interrupted(f"{self.name} does not answer: {_words(error)}") from error
                await asyncio.sleep(random.uniform(0.5, 1) * FIRST_REST * 2**n)  # noqa: S311 - jitter
        raise AssertionError("the last time returns or raises")

    async def _read(self, response: httpx2.Response, most: int) -> bytes:
        content = bytearray()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > most:
                raise OutputTooLarge(f"{self.name} sent more than {most} bytes")
        return bytes(content)

    def _parsed(self, content: bytes) -> Any:
        """The JSON of an answer, without our credentials if it repeats them. Raises `ValueError`."""
        for secret in self._secrets:
            content = content.replace(secret, HIDDEN)
        return json.loads(content)

    async def _refuse(self, response: httpx2.Response, *, creating: bool = False) -> None:
        """Raise what an answer means that is no success."""
        try:
            content = await self._read(response, MOST_JSON)
        except httpx2.RequestError:
            content = b""  # its status is here, and says enough
        try:
            body = self._parsed(content)
        except ValueError:
            body = None
        known = self._refusal(response, body) if self._refusal else None
        raise known or self._meant(response, said(body), creating)

    def _meant(self, response: httpx2.Response, said: str, creating: bool) -> ProviderError:
        status, wait = response.status_code, retry_after(response)
        message = f"{self.name} answered {status}{f': {said}' if said else ''}"
        if status == 429:
            return Throttled(message, retry_after=wait)
        if status in (401, 402, 403):
            return AccountRefused(message)
        if creating and status in LOST_ANSWERS:
            return SubmissionUncertain(f"{message}; it may have taken the request")
        if status >= 500 or status in (408, 409, 425):
            return Transient(message, retry_after=wait)
        return Permanent(message)


@contextmanager
def _going_on(name: str) -> Iterator[None]:
    """What was accepted goes on at the backend, whatever it has against a call of ours, unless that was its end."""
    try:
        yield
    except (AccountRefused, Permanent) as error:
        if not error.moves_on:
            raise
        raise Interrupted(error.message) from error
    except httpx2.InvalidURL as error:
        raise Interrupted(f"{name} names an address that is none") from error


@cache
def _tls() -> ssl.SSLContext:
    """What all connections are checked by; loading it takes a while."""
    return httpx2.create_ssl_context(trust_env=False)


def _secret(header: str) -> bytes:
    """What is secret of a header such as `Bearer …`."""
    return header.rpartition(" ")[2].encode()


def retry_after(response: httpx2.Response) -> float | None:
    """How many seconds the backend asks to wait, or until when (RFC 9110, 10.2.3); a day at most."""
    asked = response.headers.get("retry-after", "")
    try:
        seconds = float(asked)
    except ValueError:
        until, now = _moment(asked), _moment(response.headers.get("date", "")) or datetime.now(UTC)
        seconds = (until - now).total_seconds() if until else math.nan
    return min(max(0.0, seconds), LONGEST_WAIT) if math.isfinite(seconds) else None


def _moment(header: str) -> datetime | None:
    try:
        return parsedate_to_datetime(header).astimezone(UTC)
    except ValueError:
        return None


def said(body: Any) -> str:
    """The words of an error, in the shapes that backends use; nothing else of the answer."""
    for _ in range(4):
        if isinstance(body, Mapping):
            body = next((body[key] for key in ("error", "detail", "message", "title", "msg") if body.get(key)), "")
        elif isinstance(body, list):
            body = body[0] if body else ""
    return body[:LONGEST_WORDS] if isinstance(body, str) else ""


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
