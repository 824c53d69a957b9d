"""What is decided after a failure, and which steps a story tells."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import (
    AccountRefused,
    BudgetExhausted,
    DarkroomError,
    Interrupted,
    InvalidOutput,
    NoRoom,
    OutputExpired,
    OutputTooLarge,
    Permanent,
    ProviderError,
    Rejected,
    StorageUnavailable,
    SubmissionUncertain,
    Throttled,
    Transient,
)
from darkroom.media.policy import MILESTONES, Backoff, Decision, GiveUp, RetryAt, Tried, after_failure, milestone
from darkroom.media.routing import Routing

NOW = datetime(2030, 1, 1, tzinfo=UTC)
BACKOFF = Backoff(base=1.0, cap=60.0)
DAY = timedelta(days=1)
FIRST = Routing(since=NOW)


class Highest(random.Random):
    """No luck: always waits as long as can be."""

    def uniform(self, a: float, b: float) -> float:
        return b


def decide(error: Exception, *, patience: timedelta = DAY, now: datetime = NOW, **tried: Any) -> Decision:
    """After a job at the only route `a`, unless `tried` says otherwise."""
    known: dict[str, Any] = {"number": 1, "tries": 0, "max_tries": 3, "route": "a", "routes": ["a"]}
    return after_failure(error, Tried(**known | tried), now=now, backoff=BACKOFF, rng=Highest(), patience=patience)


def again(seconds: float = 0, *, counts: bool = True, resume: bool = False, routing: Routing = FIRST) -> RetryAt:
    return RetryAt(NOW + timedelta(seconds=seconds), counts, resume, routing)


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
        (Interrupted("gone"), 1, 0, again(1)),  # with nothing to resume
        (InvalidOutput("html"), 1, 0, again(1)),
        (InvalidOutput("html"), 3, 2, GiveUp()),
        (StorageUnavailable("full"), 1, 0, again(1)),
        (ValueError("a bug"), 1, 0, again(1)),
        (ValueError("a bug"), 3, 2, GiveUp()),
        (Throttled("slow down"), 1, 0, again(2, counts=False)),
        (Throttled("slow down"), 4, 0, again(16, counts=False)),
        (Throttled("slow down"), 50, 2, again(60, counts=False)),  # not the end of a media, however often
        (Throttled("slow down", retry_after=7.0), 1, 0, again(7, counts=False)),
        (AccountRefused("no credit"), 1, 0, GiveUp()),
        (Permanent("no"), 1, 0, GiveUp()),
        (Rejected("not this prompt"), 1, 0, GiveUp()),
        (SubmissionUncertain("who knows"), 1, 0, GiveUp()),
        (OutputExpired("gone"), 1, 0, GiveUp()),
        (OutputTooLarge("a bomb"), 1, 0, GiveUp()),
        (BudgetExhausted("spent"), 1, 0, GiveUp()),
        (ProviderError("unknown kind"), 1, 0, GiveUp()),
        (DarkroomError("ours, and not to be tried again"), 1, 0, GiveUp()),
    ],
)
def test_what_becomes_of_a_media_with_one_route(error: Exception, number: int, tries: int, decision: Decision) -> None:
    assert decide(error, number=number, tries=tries) == decision


def test_a_media_with_one_try_is_not_tried_twice() -> None:
    assert decide(Transient("busy"), max_tries=1) == GiveUp()


@pytest.mark.parametrize(
    ("error", "decision"),
    [
        (Transient("busy", retry_after=60), again(routing=Routing(failed=("a",), since=NOW))),
        (ValueError("a bug"), again(routing=Routing(failed=("a",), since=NOW))),
        (Throttled("slow down"), again(counts=False, routing=Routing(failed=("a",), since=NOW))),
        (AccountRefused("no credit"), again(routing=Routing(spent=("a",), since=NOW))),
        (Permanent("no"), again(routing=Routing(spent=("a",), since=NOW))),
        (Rejected("not this prompt"), GiveUp()),
        (SubmissionUncertain("who knows"), GiveUp()),
        (OutputExpired("gone"), GiveUp()),
        (OutputTooLarge("a bomb"), GiveUp()),
        (BudgetExhausted("spent"), GiveUp()),
        (StorageUnavailable("full"), again(1)),  # ours: another backend would not help
        (Interrupted("gone"), again(1)),
    ],
)
def test_what_becomes_of_a_media_with_another_route_left(error: Exception, decision: Decision) -> None:
    assert decide(error, routes=["a", "b"], max_tries=3) == decision


@pytest.mark.parametrize("tries", [0, 1, 2, 7])
def test_each_route_gets_its_chance_however_few_the_tries(tries: int) -> None:
    decision = decide(Transient("busy"), routes=["a", "b"], tries=tries, max_tries=1)
    assert decision == again(routing=Routing(failed=("a",), since=NOW))


def test_after_a_round_the_next_one_waits_for_its_turn() -> None:
    routing = Routing(failed=("a",), since=NOW)
    decision = decide(Transient("busy"), route="b", routes=["a", "b"], tries=1, routing=routing)
    assert decision == again(1)


def test_what_a_route_cannot_do_it_is_not_asked_for_in_the_next_round() -> None:
    routing = Routing(spent=("a",), since=NOW)
    decision = decide(Transient("busy"), route="b", routes=["a", "b"], tries=1, routing=routing)
    assert decision == again(1, routing=routing)
    assert decide(Permanent("no"), route="b", routes=["a", "b"], tries=1, routing=routing) == GiveUp()


def test_a_last_route_that_cannot_do_it_is_not_the_end_while_another_may_yet() -> None:
    routing = Routing(failed=("a",), since=NOW)
    decision = decide(Permanent("no"), route="b", routes=["a", "b"], tries=1, routing=routing)
    assert decision == again(1, routing=Routing(spent=("b",), since=NOW))


@pytest.mark.parametrize("route", ["b", None])
def test_without_tries_left_only_those_are_waited_for_that_were_throttled(route: str | None) -> None:
    routing = Routing(failed=("a",), since=NOW)
    throttled = Throttled("slow down", retry_after=9)
    decision = decide(throttled, route=route, routes=["a", "b"], tries=1, max_tries=1, routing=routing)
    assert decision == again(9, counts=False, routing=routing)
    assert decide(throttled, route=route, routes=["a", "b"], tries=1, max_tries=2, routing=routing) == again(
        9, counts=False
    )


@pytest.mark.parametrize("resumable", [False, True])
def test_patience_has_an_end(resumable: bool) -> None:
    earlier = Routing(since=NOW - timedelta(hours=1))
    error, hour = Throttled("slow down"), timedelta(hours=1)
    assert isinstance(decide(error, routing=earlier, patience=hour, resumable=resumable), RetryAt)
    assert decide(error, routing=earlier, patience=hour - timedelta(seconds=1), resumable=resumable) == GiveUp()


# What goes on at a backend


@pytest.mark.parametrize(
    ("error", "decision"),
    [
        (Interrupted("gone"), again(2, counts=False, resume=True)),
        (Transient("did not stop"), again(1, resume=True)),
        (SubmissionUncertain("will be looked for"), again(2, counts=False, resume=True)),
        (ValueError("a bug"), again(1, resume=True)),
        (Permanent("it failed for good"), again(routing=Routing(spent=("a",), since=NOW))),
        (Rejected("not this prompt"), GiveUp()),
    ],
)
def test_what_may_be_resumed_is(error: Exception, decision: Decision) -> None:
    assert decide(error, routes=["a", "b"], resumable=True) == decision


def test_asking_again_is_no_try_but_what_does_not_stop_is() -> None:
    for error in (Interrupted("gone"), SubmissionUncertain("lost"), Throttled("slow down")):
        assert decide(error, resumable=True, tries=2) == again(2, counts=False, resume=True)
    was_stopped = decide(Transient("took too long"), resumable=True, stopped=True, tries=2)
    assert was_stopped == again(2, counts=False, resume=True)
    assert decide(Transient("did not stop"), resumable=True, tries=2) == GiveUp()


def test_who_finds_no_room_waits_for_a_turn_as_if_nothing_had_been() -> None:
    earlier = Routing(failed=("a",), since=NOW - timedelta(days=30))
    decision = decide(NoRoom("full", retry_after=7.0), routing=earlier, tries=2, number=40)
    assert isinstance(decision, RetryAt)
    assert decision == RetryAt(decision.at, counts=False, routing=earlier)
    assert timedelta(seconds=7) <= decision.at - NOW <= timedelta(seconds=12)


@pytest.mark.parametrize(
    "error", [Transient("no list"), Throttled("slow down"), StorageUnavailable("full"), KeyError()]
)
def test_what_may_have_been_sent_is_not_sent_anew(error: Exception) -> None:
    decision = decide(error, route=None, routes=["a", "b"], resumable=True)
    assert isinstance(decision, RetryAt)
    assert decision.resume


@pytest.mark.parametrize("error", [AccountRefused("who are you?"), Permanent("no list"), BudgetExhausted("spent")])
def test_what_may_have_been_sent_ends_rather_than_being_sent_anew(error: Exception) -> None:
    assert decide(error, route=None, routes=["a", "b"], resumable=True) == GiveUp()


ERRORS = [
    Transient("t"), Interrupted("i"), InvalidOutput("o"), Throttled("h"), AccountRefused("a"), SubmissionUncertain("u"),
    Permanent("p"), Rejected("r"), OutputExpired("e"), StorageUnavailable("s"), BudgetExhausted("b"), ValueError("v"),
]  # fmt: skip


@given(
    errors=st.lists(st.tuples(st.sampled_from(ERRORS), st.booleans()), min_size=60, max_size=60),
    routes=st.integers(1, 4),
    max_tries=st.integers(1, 6),
    seed=st.integers(0, 100),
)
def test_no_media_is_tried_for_ever(
    errors: list[tuple[Exception, bool]], routes: int, max_tries: int, seed: int
) -> None:
    """A media's whole life: it ends, no route that cannot do it is asked again, and no route twice in a round."""
    labels = [f"route {n}" for n in range(routes)]
    rng, now, tried = random.Random(seed), NOW, Tried(1, 0, max_tries, None, labels)
    for error, resumable in errors:
        left = tried.routing.left(labels) or tried.routing.next_round().left(labels)
        assert left
        tried = replace(tried, route=left[0], resumable=resumable)
        decision = after_failure(error, tried, now=now, backoff=BACKOFF, rng=rng, patience=DAY)
        if isinstance(decision, GiveUp):
            return
        assert decision.at >= now
        if not decision.resume:
            assert not set(decision.routing.spent) & set(decision.routing.failed)
            assert set(tried.routing.spent) <= set(decision.routing.spent)
        tries = tried.tries + decision.counts
        tried = replace(tried, number=tried.number + 1, tries=tries, routing=decision.routing)
        now = decision.at
    throttled = sum(isinstance(error, Throttled) for error, _ in errors)
    assert tried.tries <= max_tries + routes
    assert throttled >= len(errors) - max_tries - routes


# Waiting


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


# Stories


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
