"""Decisions about a media's life. Pure: the loops that act on them are in the engine."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from darkroom.errors import DarkroomError, Throttled

Route = TypeVar("Route")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter: uniform between 0 and `min(cap, base * 2**n)` seconds.

    M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    base: float = 1.0
    cap: float = 300.0

    def seconds(self, n: int, rng: random.Random) -> float:
        """How long to wait after `n` earlier failures."""
        return rng.uniform(0, min(self.cap, self.base * 2.0 ** min(n, 64)))


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Try again at `at`. `counts`: whether the try that ended counts against the media."""

    at: datetime
    counts: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The media ends as ERROR."""


Decision = RetryAt | GiveUp


def after_failure(
    error: Exception,
    *,
    number: int,
    tries: int,
    max_tries: int,
    now: datetime,
    backoff: Backoff,
    rng: random.Random,
) -> Decision:
    """What to do after job `number` (from 1) failed with `error`, when `tries` before it counted.

    A backend's Retry-After is the least that is waited; an error that is not ours counts as transient.
    """
    least = (error.retry_after if isinstance(error, DarkroomError) else None) or 0.0
    if isinstance(error, Throttled):
        return RetryAt(now + timedelta(seconds=max(least, backoff.seconds(number, rng))), counts=False)
    if isinstance(error, DarkroomError) and not error.retryable:
        return GiveUp()
    if tries + 1 >= max_tries:
        return GiveUp()
    return RetryAt(now + timedelta(seconds=max(least, backoff.seconds(tries, rng))), counts=True)


def pick_route(routes: Sequence[Route], *, tries: int) -> Route:
    """The route for the next try: each failure that counted moves on to the next, in turn."""
    return routes[tries % len(routes)]


MILESTONES = 4


def milestone(step: int, total: int) -> int:
    """Which quarter of the way is done (0 to 4): a story tells quarters, not steps."""
    return min(MILESTONES, step * MILESTONES // total) if total > 0 else 0
