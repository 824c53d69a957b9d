"""Which job a worker gets."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection

from darkroom.db.positions import position
from darkroom.engine.transitions import asking, leasing, reporting, submitting
from darkroom.engine.transitions.base import Done
from darkroom.media.model import Media, Submission
from darkroom.media.states import Status
from services.life import Store, open_store

START = datetime(2030, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=30)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with open_store(url) as opened:
        yield opened


def submit(store: Store, *, at: datetime = START, lane: str = "default", priority: int = 0) -> Media:
    wanted = Submission(prompt="p", model="m", lane=lane, parameters={}, max_tries=3, priority=priority)
    ((done,),) = (store.run(lambda it: submitting.submit(it, [submitting.Submit(wanted, at)])),)
    assert isinstance(done, Done)
    assert isinstance(done.result, Media)
    return done.result


def claim(store: Store, most: int, *, at: datetime = START, lane: str = "default", only: UUID | None = None) -> Any:
    item = leasing.Claim(lane, most, "w", at, LEASE, only)
    ((done,),) = (store.run(lambda it: leasing.claim(it, [item])),)
    return done.result


def claimed(store: Store, most: int, **options: Any) -> list[UUID]:
    return [task.media.id for task in claim(store, most, **options)]


def test_the_higher_priority_goes_first_and_then_the_older(store: Store) -> None:
    rng = random.Random(4)
    times = [START + timedelta(seconds=rng.randrange(5)) for _ in range(40)]
    made = [submit(store, at=at, priority=rng.randint(-2, 2)) for at in times]
    expected = [it.id for it in sorted(made, key=lambda it: (-it.priority, it.created_at, it.id))]
    later = START + timedelta(seconds=9)
    assert [*claimed(store, 7, at=later), *claimed(store, 1, at=later), *claimed(store, 100, at=later)] == expected


def test_no_more_than_asked_for_are_taken_and_none_twice(store: Store) -> None:
    made = {submit(store).id for _ in range(5)}
    first, second, third = (claimed(store, most) for most in (2, 2, 2))
    assert [len(first), len(second), len(third)] == [2, 2, 1]
    assert {*first, *second, *third} == made


def test_a_job_is_claimed_neither_before_it_is_due_nor_in_another_lane(store: Store) -> None:
    later = submit(store, at=START + timedelta(seconds=10))
    other = submit(store, lane="gpu")
    assert claimed(store, 9) == []
    assert claimed(store, 9, at=START + timedelta(seconds=9.999999)) == []
    assert claimed(store, 9, at=START + timedelta(seconds=10)) == [later.id]
    assert claimed(store, 9, lane="gpu") == [other.id]


def test_one_media_can_be_claimed_out_of_turn(store: Store) -> None:
    submit(store, priority=9)
    wanted = submit(store)
    assert claimed(store, 9, only=wanted.id) == [wanted.id]
    assert claimed(store, 9, only=wanted.id) == []


def test_a_claim_says_whose_it_is_until_when(store: Store) -> None:
    made = submit(store)
    (task,) = claim(store, 1)
    assert (task.job.id, task.job.worker, task.job.started_at) == (made.job_id, "w", START)
    assert task.job.lease_expires_at == START + LEASE
    assert (task.media.status, task.media.started_at) == (Status.PROCESSING, START)


def test_a_job_that_was_given_back_stands_where_its_age_puts_it(store: Store) -> None:
    old, new = submit(store), submit(store, at=START + timedelta(seconds=5))
    (task,) = claim(store, 1)
    assert task.media.id == old.id
    back = START + timedelta(seconds=2)
    store.run(lambda it: reporting.release(it, [reporting.Release(task.job.id, back, "w")]))
    assert claimed(store, 2, at=START + timedelta(seconds=5)) == [old.id, new.id]


def test_the_place_in_the_queue_counts_those_that_go_first(store: Store) -> None:
    made = [submit(store, priority=n % 3) for n in range(12)]
    submit(store, lane="gpu", priority=9)
    places = {it.id: store.run(lambda c, job=it.job_id: position(c, job)) for it in made}
    order = claimed(store, 100)
    assert [places[media_id] for media_id in order] == list(range(12))
    assert store.run(lambda c: position(c, made[0].job_id)) is None


def test_two_claims_in_one_transaction_share_the_queue(store: Store) -> None:
    made = [submit(store, priority=-n).id for n in range(4)]
    items = [leasing.Claim("default", 3, who, START, LEASE) for who in ("a", "b")]

    def both(connection: Connection) -> list[list[UUID]]:
        return [[task.media.id for task in done.result] for done in leasing.claim(connection, items)]

    assert store.run(both) == [made[:3], made[3:]]


def test_a_cancelled_media_is_not_claimed(store: Store) -> None:
    made = submit(store)
    store.run(lambda it: asking.cancel(it, [asking.Ask(made.id, START)]))
    assert claimed(store, 1) == []
