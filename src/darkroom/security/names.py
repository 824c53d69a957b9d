"""Names that callers give, looked up in threads of their own.

The loop's own lookups share a few threads with those of everything else in the process: names that take their time to
be found, which callers may choose, would hold up backends, stores and databases.
"""

import asyncio
import socket
import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from ipaddress import ip_address
from typing import Final

AT_ONCE: Final = 16
FOR_STRANGERS: Final = 8
"""Of these for all names that were not found when they were last looked up: the others always find a place."""
TURN: Final = 3.0
"""Seconds for a name's turn to come,"""
PATIENCE: Final = 5.0
"""and for it to be found."""
REMEMBERED: Final = 10_000

Found = asyncio.Future[Sequence[str]]


class Busy(OSError):
    """It was not a name's turn in time: nothing is known of it."""


class Resolver:
    """Looks at most 16 names up at once, each once for all who ask. Its threads hold up no exit of the process."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)
        self._places_of_strangers = asyncio.Semaphore(FOR_STRANGERS)
        self._known: OrderedDict[str, None] = OrderedDict()
        self._asked: dict[str, asyncio.Task[Sequence[str]]] = {}

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a name, or of an address. Raises `Busy`, `OSError` (`TimeoutError`, too), `UnicodeError`."""
        if _is_address(host):
            return [host]
        if host not in self._asked:
            self._asked[host] = asyncio.create_task(self._find(host, port), name=f"looking up {host}")
            self._asked[host].add_done_callback(partial(self._ended, host))
        return await asyncio.shield(self._asked[host])

    def _ended(self, host: str, asked: asyncio.Task[Sequence[str]]) -> None:
        del self._asked[host]
        if not asked.cancelled():
            asked.exception()  # perhaps nobody waits for it any more

    async def _find(self, host: str, port: int) -> Sequence[str]:
        held = await self._turn(host)
        self._known.pop(host, None)
        found: Found = asyncio.get_running_loop().create_future()
        try:
            threading.Thread(target=_look_up, args=(host, port, found, held), daemon=True, name="names").start()
        except RuntimeError as error:  # there can be no more threads
            _leave(held)
            raise Busy from error
        async with asyncio.timeout(PATIENCE):
            addresses = await found
        self._remember(host)
        return addresses

    async def _turn(self, host: str) -> Sequence[asyncio.Semaphore]:
        """Wait for the places that a name needs, which whoever looks it up gives back. Raises `Busy`."""
        needed = [self._places] if host in self._known else [self._places_of_strangers, self._places]
        held: list[asyncio.Semaphore] = []
        try:
            async with asyncio.timeout(TURN):
                for places in needed:
                    await places.acquire()
                    held.append(places)
        except TimeoutError as error:
            _leave(held)
            raise Busy from error
        return held

    def _remember(self, host: str) -> None:
        self._known[host] = None
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def _look_up(host: str, port: int, found: Found, held: Sequence[asyncio.Semaphore]) -> None:
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        _tell(found, held, error)
    else:
        _tell(found, held, [str(entry[4][0]) for entry in entries])


def _tell(found: Found, held: Sequence[asyncio.Semaphore], outcome: Sequence[str] | Exception) -> None:
    try:
        found.get_loop().call_soon_threadsafe(_end, found, held, outcome)
    except RuntimeError:  # the loop is closed: nobody waits any more
        return


def _end(found: Found, held: Sequence[asyncio.Semaphore], outcome: Sequence[str] | Exception) -> None:
    _leave(held)
    if found.done():
        return
    if isinstance(outcome, Exception):
        found.set_exception(outcome)
    else:
        found.set_result(outcome)


def _leave(held: Sequence[asyncio.Semaphore]) -> None:
    for places in held:
        places.release()


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
