"""Names that callers give, looked up in threads of their own.

The loop's own lookups share a few threads with those of everything else in the process: names that take their time to
be found, which callers may choose, would hold up backends, stores and databases.
"""

import asyncio
import socket
import threading
from collections.abc import Sequence
from typing import Final

AT_ONCE: Final = 16
PATIENCE: Final = 5.0
"""Seconds for a name to be found, and for a thread to be free."""

Found = asyncio.Future[Sequence[str]]


class Resolver:
    """Looks at most 16 names up at once. Its threads hold up no exit of the process."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a name. Raises `OSError` (`TimeoutError`, too), `UnicodeError`."""
        async with asyncio.timeout(PATIENCE):
            await self._places.acquire()
            found: Found = asyncio.get_running_loop().create_future()
            threading.Thread(target=self._look_up, args=(host, port, found), daemon=True, name="names").start()
            return await found

    def _look_up(self, host: str, port: int, found: Found) -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            self._tell(found, error)
        else:
            self._tell(found, [str(entry[4][0]) for entry in entries])

    def _tell(self, found: Found, outcome: Sequence[str] | Exception) -> None:
        try:
            found.get_loop().call_soon_threadsafe(self._end, found, outcome)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    def _end(self, found: Found, outcome: Sequence[str] | Exception) -> None:
        self._places.release()
        if found.done():
            return
        if isinstance(outcome, Exception):
            found.set_exception(outcome)
        else:
            found.set_result(outcome)
