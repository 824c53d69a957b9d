"""Fetches pictures from where callers say that they are."""

import asyncio
from typing import Final

import httpx2

from darkroom import __version__
from darkroom.errors import InvalidRequest, PayloadTooLarge
from darkroom.security.egress import Egress

TIMEOUT: Final = 30.0
"""Seconds for a picture to be there, whole: its caller waits."""
AT_ONCE: Final = 16
"""Pictures, each of which may be as large as an upload, that are on their way at once."""
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

    async def __call__(self, url: str) -> bytes:
        """The bytes at `url`; redirects are followed, each as if it were asked for.

        Raises `InvalidRequest` whatever is the matter, `PayloadTooLarge`.
        """
        try:
            async with asyncio.timeout(TIMEOUT), self._places:
                return await self._fetched(url)
        except TimeoutError as error:
            raise InvalidRequest(f"the picture did not come within {TIMEOUT:g} s") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise InvalidRequest(f"the picture could not be fetched: {str(error) or type(error).__name__}") from error

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
