"""Decisions about a media's life. Pure: the loops that act on them are in the engine."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from darkroom.errors import DarkroomError, Interrupted, NoRoom, ProviderError, SubmissionUncertain, Throttled
from darkroom.media.model import NOWHERE_YET
from darkroom.media.routing import Routing


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
    """Try again at `at`. `counts`: whether the try that ended counts against the media.

    `resume`: whether the next job goes on with what the last one was accepted under. `routing`: what it may try.
    """

    at: datetime
    counts: bool
    resume: bool = False
    routing: Routing = NOWHERE_YET


LATER = 5.0
"""Seconds over which those that found no room come back."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The media ends as ERROR."""


Decision = RetryAt | GiveUp


@dataclass(frozen=True, slots=True)
class Tried:
    """What is known of a media when job `number` (from 1) of it failed at `route`, one of `routes`.

    `route`: None if it failed before it took one. `tries` before it counted, of at most `max_tries`. `resumable`: the
    backend goes on, or may. stopped: it was just told not to, and the next job asks what became of it.
    """

    number: int
    tries: int
    max_tries: int
    route: str | None = None
    routes: Sequence[str] = ()
    routing: Routing = NOWHERE_YET
    resumable: bool = False
    stopped: bool = False


def after_failure(
    error: Exception, tried: Tried, *, now: datetime, backoff: Backoff, rng: random.Random, patience: timedelta
) -> Decision:
    """What to do after a job failed with `error`; one that is not ours counts as transient.

    Each route gets its chance before the media waits or ends; one without tries left waits for those that have not
    had theirs. One that an earlier job may have sent goes nowhere else. A backend's Retry-After is the least that is
    waited. A media that has been failing for longer than `patience` ends.
    """
    if isinstance(error, NoRoom):  # nothing has failed: it waits for its turn, as it was
        turn = _least(error) + rng.uniform(0, LATER)
        return RetryAt(now + timedelta(seconds=turn), counts=False, resume=tried.resumable, routing=tried.routing)
    for_good = isinstance(error, DarkroomError) and not error.retryable
    was_sent = tried.resumable and tried.route is None
    moves_on = not isinstance(error, DarkroomError) or (isinstance(error, ProviderError) and error.moves_on)
    moves_on = moves_on and not was_sent
    if tried.resumable and (not for_good or isinstance(error, SubmissionUncertain)):
        return _resume(error, tried, now, backoff, rng, patience)
    routing = tried.routing.after(tried.route, now, for_good=for_good)
    counts = not isinstance(error, Throttled)
    if moves_on and tried.route is not None and routing.left(tried.routes):
        return RetryAt(now, counts=counts, routing=routing)
    may_start_over = counts or tried.tries < tried.max_tries
    again = routing.next_round() if may_start_over else tried.routing.after(None, now, for_good=False)
    is_hopeless = for_good and not (moves_on and again.left(tried.routes))
    is_spent = counts and tried.tries + 1 >= tried.max_tries
    if is_hopeless or is_spent or now - (routing.since or now) > patience:
        return GiveUp()
    rounds = tried.tries // max(1, len(tried.routes)) if counts else tried.number
    wait = max(_least(error), backoff.seconds(rounds, rng))
    return RetryAt(now + timedelta(seconds=wait), counts=counts, routing=again)


def _resume(
    error: Exception, tried: Tried, now: datetime, backoff: Backoff, rng: random.Random, patience: timedelta
) -> Decision:
    """Go on at the backend. To ask again for what it has, or whether it has it, is no other try."""
    counts = not (tried.stopped or isinstance(error, Throttled | Interrupted | SubmissionUncertain))
    routing = tried.routing.after(None, now, for_good=False)
    is_spent = counts and tried.tries + 1 >= tried.max_tries
    if is_spent or now - (routing.since or now) > patience:
        return GiveUp()
    wait = max(_least(error), backoff.seconds(tried.tries if counts else tried.number, rng))
    return RetryAt(now + timedelta(seconds=wait), counts=counts, resume=True, routing=routing)


def _least(error: Exception) -> float:
    return (error.retry_after if isinstance(error, DarkroomError) else None) or 0.0


MILESTONES = 4


def milestone(step: int, total: int) -> int:
    """Which quarter of the way is done (0 to 4): a story tells quarters, not steps."""
    return min(MILESTONES, step * MILESTONES // total) if total > 0 else 0
