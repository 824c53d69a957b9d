"""When a webhook that could not be told is tried again."""

import random
from datetime import timedelta
from typing import Final

TRIES: Final = 10
FIRST: Final = timedelta(seconds=5)
LONGEST: Final = timedelta(hours=8)
FACTOR: Final = 4
SPREAD: Final = 0.2
"""Part by which a wait may be shorter or longer, so that what failed together does not come back together."""


def wait_untried(rng: random.Random) -> timedelta:
    """How long to wait after a try that was none: what kept it was here, not there."""
    return _spread(FIRST, rng)


def wait_after(tries: int, *, asked: timedelta | None = None, rng: random.Random) -> timedelta | None:
    """How long to wait after so many tries that failed; None: they are spent.

    5 s, 20 s, 80 s, 5 min, 21 min, 85 min, 5.7 h and twice 8 h: about a day. `asked`: what the target asked for.
    """
    if tries >= TRIES:
        return None
    wait = _spread(min(FIRST * FACTOR ** (tries - 1), LONGEST), rng)
    return max(wait, min(asked, LONGEST)) if asked is not None else wait


def _spread(wait: timedelta, rng: random.Random) -> timedelta:
    return wait * rng.uniform(1 - SPREAD, 1 + SPREAD)
