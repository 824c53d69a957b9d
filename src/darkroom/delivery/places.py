"""Who is sent to at once: a few messages to each host, and never so many to slow ones that others have to wait."""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import Final

AT_ONCE: Final = 128
TO_ONE_HOST: Final = 4
TO_AN_UNPROVEN_ONE: Final = 2
FOR_UNPROVEN: Final = 64
"""All those together that have not just answered soon: whoever has always finds a place."""
SOON: Final = 3.0
"""Seconds."""
REMEMBERED: Final = 10_000


class Places:
    """The places of one process: which are taken, and which hosts have answered soon when they were last told."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()
        self._proven: OrderedDict[str, None] = OrderedDict()

    def room(self, hosts: Iterable[str]) -> dict[str, int]:
        """How many more may be sent to each of `hosts`; none of those that have to wait."""
        free = AT_ONCE - self._taken.total()
        unproven = min(free, FOR_UNPROVEN - sum(n for host, n in self._taken.items() if host not in self._proven))
        found: dict[str, int] = {}
        for host in hosts:
            is_proven = host in self._proven
            most = TO_ONE_HOST if is_proven else TO_AN_UNPROVEN_ONE
            some = min(most - self._taken[host], free if is_proven else unproven)
            if some > 0:
                found[host] = some
                free -= some
                unproven = min(free, unproven if is_proven else unproven - some)
        return found

    @property
    def has_room(self) -> bool:
        """Whether any place is free."""
        return self._taken.total() < AT_ONCE

    def take(self, host: str) -> None:
        """One is being sent there."""
        self._taken[host] += 1

    def leave(self, host: str) -> None:
        """It has ended."""
        self._taken[host] -= 1
        if not self._taken[host]:
            del self._taken[host]

    def note(self, host: str, seconds: float, *, answered: bool) -> None:
        """A host answered, or did not, after so many seconds."""
        self._proven.pop(host, None)
        if answered and seconds < SOON:
            self._proven[host] = None
            if len(self._proven) > REMEMBERED:
                self._proven.popitem(last=False)
