"""Asking, and asking again where that may help and cannot do harm."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

from darkroom_client._answers import retry_after
from darkroom_client._effects import Answer, Pause, Program, Request, Send
from darkroom_client.errors import APIConnectionError

NEVER: Final = float("inf")
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 8.0
SHORTEST: Final = 0.1
"""Seconds that an answer is waited for at least."""
LONGEST_ASKED_FOR: Final = 60.0
"""Seconds: a service that asks for more (`Retry-After`) is not waited for, and the caller is told."""

_REFUSED: Final = frozenset({429, 503})
"""Answers of a service that did nothing, and says so."""
_LOST: Final = frozenset({502, 504})
"""Answers of a proxy that does not know what became of the request."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often to ask again, until when. `until`, and what `now` says, are seconds of one clock."""

    retries: float = 3
    until: float = NEVER
    now: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random

    def after_lost(self, request: Request, error: APIConnectionError, tries: int) -> float | None:
        """Seconds until the next try after there was no answer; None: there is none."""
        may_help = error.retryable and (request.is_repeatable or not error.sent)
        return self._pause(tries) if may_help else None

    def after(self, request: Request, answer: Answer, tries: int) -> float | None:
        """Seconds until the next try after this answer; None: it is the last."""
        if answer.status in _REFUSED or (answer.status in _LOST and request.is_repeatable):
            return self._pause(tries, retry_after(answer.headers))
        return None

    def _pause(self, tries: int, asked_for: float | None = None) -> float | None:
        if tries > self.retries:
            return None
        left = self.until - self.now()
        if not asked_for:
            return min(backoff(tries, self.chance()), left) if left > 0 else None
        pause = asked_for * (1 + self.chance() / 10)
        return pause if asked_for <= LONGEST_ASKED_FOR and pause <= left else None


def backoff(tries: int, chance: float) -> float:
    """Seconds to wait after so many tries: twice as long each time, spread by `chance` (from 0 to 1)."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(tries - 1, 10)) * (0.5 + chance / 2)


def ask(request: Request, patience: Patience) -> Program[Answer]:
    """The answer, whatever its status. Raises `APIConnectionError`."""
    for tries in count(1):
        try:
            answer: Answer = yield Send(_in_time(request, patience))
        except APIConnectionError as error:
            pause = patience.after_lost(request, error, tries)
            if pause is None:
                raise
        else:
            pause = patience.after(request, answer, tries)
            if pause is None:
                return replace(answer, tries=tries)
        yield Pause(pause)
    raise AssertionError("unreachable")


def _in_time(request: Request, patience: Patience) -> Request:
    """The request, so that its answer is not waited for beyond the end of the patience."""
    if patience.until == NEVER:
        return request
    return replace(request, timeout=max(SHORTEST, patience.until - patience.now()))
