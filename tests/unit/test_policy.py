"""What is decided after a failure, which route comes next, which steps a story tells."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import (
    DarkroomError,
    InvalidOutput,
    OutputTooLarge,
    Permanent,
    ProviderError,
    Rejected,
    StorageUnavailable,
    Throttled,
    Transient,
)
from darkroom.media.policy import MILESTONES, Backoff, Decision, GiveUp, RetryAt, after_failure, milestone, pick_route

NOW = datetime(2030, 1, 1, tzinfo=UTC)
BACKOFF = Backoff(base=1.0, cap=60.0)


class Highest(random.Random):
    """No luck: always waits as long as can be."""

    def uniform(self, a: float, b: float) -> float:
        return b


def decide(error: Exception, *, number: int = 1, tries: int = 0, max_tries: int = 3) -> Decision:
    return after_failure(
        error, number=number, tries=tries, max_tries=max_tries, now=NOW, backoff=BACKOFF, rng=Highest()
    )


def again(seconds: float, *, counts: bool = True) -> RetryAt:
    return RetryAt(NOW + timedelta(seconds=seconds), counts)


@pytest.mark.parametrize(
    ("error", "number", "tries", "decision"),
    [
        (Transient("busy"), 1, 0, again(1)),
        (Transient("busy"), 2, 1, again(2)),
        (Transient("busy"), 9, 1, again(2)),  # jobs that did not count do not make it wait longer
        (Transient("busy"), 3, 2, GiveUp()),
        (Transient("busy", retry_after=30.0), 1, 0, again(30)),
        (Transient("busy", retry_after=0.1), 1, 0, again(1)),
        (Transient("busy", retry_after=900.0), 1, 0, again(900)),  # the backend's word is beyond our cap
        (InvalidOutput("html"), 1, 0, again(1)),
        (InvalidOutput("html"), 3, 2, GiveUp()),
        (StorageUnavailable("full"), 1, 0, again(1)),
        (ValueError("a bug"), 1, 0, again(1)),
        (ValueError("a bug"), 3, 2, GiveUp()),
        (Throttled("slow down"), 1, 0, again(2, counts=False)),
        (Throttled("slow down"), 4, 0, again(16, counts=False)),
        (Throttled("slow down"), 50, 2, again(60, counts=False)),  # never the end of a media
        (Throttled("slow down", retry_after=7.0), 1, 0, again(7, counts=False)),
        (Permanent("no"), 1, 0, GiveUp()),
        (Rejected("not this prompt"), 1, 0, GiveUp()),
        (OutputTooLarge("a bomb"), 1, 0, GiveUp()),
        (ProviderError("unknown kind"), 1, 0, GiveUp()),
        (DarkroomError("ours, and not to be tried again"), 1, 0, GiveUp()),
    ],
)
def test_what_becomes_of_a_media_after_a_failure(error: Exception, number: int, tries: int, decision: Decision) -> None:
    assert decide(error, number=number, tries=tries) == decision


def test_a_media_with_one_try_is_not_tried_twice() -> None:
    assert decide(Transient("busy"), max_tries=1) == GiveUp()


@given(n=st.integers(0, 10_000), base=st.floats(0.001, 100), cap=st.floats(0.001, 1000), seed=st.integers())
def test_a_backoff_is_between_nothing_and_its_bound(n: int, base: float, cap: float, seed: int) -> None:
    seconds = Backoff(base, cap).seconds(n, random.Random(seed))
    assert 0 <= seconds <= cap
    assert seconds <= base * 2.0 ** min(n, 64)


def test_the_jitter_is_full() -> None:
    rng = random.Random(1)
    waits = [Backoff(base=1.0, cap=300.0).seconds(3, rng) for _ in range(4000)]
    assert min(waits) < 0.1
    assert max(waits) > 7.9
    assert sum(waits) / len(waits) == pytest.approx(4.0, abs=0.2)


@pytest.mark.parametrize(("tries", "route"), [(0, "a"), (1, "b"), (2, "c"), (3, "a"), (4, "b")])
def test_each_counted_failure_moves_on_to_the_next_route(tries: int, route: str) -> None:
    assert pick_route(["a", "b", "c"], tries=tries) == route


@pytest.mark.parametrize(
    ("step", "total", "quarter"),
    [(0, 20, 0), (4, 20, 0), (5, 20, 1), (10, 20, 2), (19, 20, 3), (20, 20, 4), (25, 20, 4), (1, 1, 4), (3, 0, 0)],
)
def test_a_story_tells_quarters(step: int, total: int, quarter: int) -> None:
    assert milestone(step, total) == quarter


@given(total=st.integers(1, 10_000))
def test_quarters_only_go_up_and_end_at_the_last(total: int) -> None:
    reached = [milestone(step, total) for step in range(0, total + 1, max(1, total // 50))]
    assert reached == sorted(reached)
    assert milestone(total, total) == MILESTONES
