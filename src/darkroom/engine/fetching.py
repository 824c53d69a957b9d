"""Fetches pictures from where callers say that they are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

import httpx2

from darkroom import __version__
from darkroom.errors import InvalidRequest, PayloadTooLarge, Unavailable
from darkroom.security.egress import Egress, was_tried

TIMEOUT: Final = 30.0
"""Seconds for a picture to be there, whole, from when it is its turn: its caller waits."""
PATIENCE: Final = 20.0
"""Seconds for it to be its turn."""
AT_ONCE: Final = 16
"""Pictures, each of which may be as large as an upload, that are on their way at once,"""
AT_ONE_HOST: Final = 4
"""and those of one host, which may be slow."""
LONGEST_REASON: Final = 160
MOST_REDIRECTS: Final = 5
_HEADERS: Final = {
    "accept": "image/png, image/jpeg, image/webp", "accept-encoding": "identity",
    "user-agent": f"Darkroom/{__version__}",
}  # fmt: skip


class Fetcher:
    """Reads what is at an address. `most`: bytes."""

    def __init__(self, egress: Egress, *, most: int) -> None:
        self._egress = egress
        self._most = most
        self._places = asyncio.Semaphore(AT_ONCE)
        self._places_of_hosts: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def __call__(self, url: str) -> bytes:
        """The bytes at `url`; redirects are followed, each as if it were asked for.

        Raises `InvalidRequest` whatever is the matter there, `PayloadTooLarge`, and `Unavailable` when too many others
        are fetched. Nothing of what the other side said is in the message.
        """
        async with self._place(self._egress.check(url, field="image").host.rstrip(".")):
            try:
                async with asyncio.timeout(TIMEOUT):
                    return await self._fetched(url)
            except TimeoutError as error:
                raise InvalidRequest(f"the picture did not come within {TIMEOUT:g} s") from error
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                if not was_tried(error):
                    raise Unavailable(_reason(error), retry_after=PATIENCE) from error
                raise InvalidRequest(f"the picture could not be fetched: {_reason(error)}") from error

    @asynccontextmanager
    async def _place(self, host: str) -> AsyncIterator[None]:
        """Wait for a place among those of `host`, then for one among all."""
        of_host = self._places_of_hosts.setdefault(host, asyncio.Semaphore(AT_ONE_HOST))
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(PATIENCE):
                    await stack.enter_async_context(of_host)
                    await stack.enter_async_context(self._places)
            except TimeoutError as error:
                busy = f"too many pictures are being fetched: it was not this one's turn within {PATIENCE:g} s"
                raise Unavailable(busy, retry_after=PATIENCE) from error
            yield

    async def _fetched(self, url: str) -> bytes:
        for _ in range(MOST_REDIRECTS + 1):
            at = self._egress.check(url, field="image")
            async with self._egress.client.stream("GET", at, headers=_HEADERS, timeout=TIMEOUT) as response:
                if not response.has_redirect_location:
                    return await self._read(response)
                url = str(at.join(response.headers["location"]))
        raise InvalidRequest("the address of the picture redirects too often")

    async def _read(self, response: httpx2.Response) -> bytes:
        if response.status_code != 200:
            raise InvalidRequest(f"the address of the picture answers {response.status_code}")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise InvalidRequest("the address of the picture sends it compressed, which it was not to")
        content = bytearray()
        async for chunk in response.aiter_raw():
            content += chunk
            if len(content) > self._most:
                raise PayloadTooLarge(f"the picture has more than {self._most} bytes")
        return bytes(content)


def _reason(error: httpx2.HTTPError | httpx2.InvalidURL) -> str:
    """Why a picture could not be fetched, in words of ours or of our own libraries."""
    if isinstance(error, httpx2.ProtocolError):
        return "its address does not speak HTTP as it is to be spoken"
    if isinstance(error, httpx2.InvalidURL):
        return "its address is none, or leads to one that is none"
    return str(error)[:LONGEST_REASON] or type(error).__name__
