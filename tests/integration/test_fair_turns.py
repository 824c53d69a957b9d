"""Owners are served in turn, and a claim costs the same however much is queued."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, text

from darkroom.db.positions import position
from darkroom.engine.transitions import asking, leasing, submitting
from darkroom.engine.transitions.base import Done
from darkroom.engine.transitions.leasing import Task
from darkroom.media.model import Media, Submission
from services.life import InMemory, OnPostgres, Store, open_store

START = datetime(2030, 1, 1, tzinfo=UTC)
LATER = START + timedelta(days=1)
LEASE = timedelta(seconds=30)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with open_store(url) as opened:
        yield opened


def submit(store: Store, owner: str | None, n: int = 1, *, at: datetime = START, priority: int = 0) -> list[Media]:
    wanted = Submission("p", "m", "default", {}, max_tries=3, owner=owner, priority=priority)
    items = [submitting.Submit(wanted, at + timedelta(microseconds=number)) for number in range(n)]
    answers = store.run(lambda connection: submitting.submit(connection, items))
    return [answer.result for answer in answers if isinstance(answer, Done) and isinstance(answer.result, Media)]


class Claimer:
    """A worker process: it remembers whom it served last."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.turns: Mapping[int, str] = {}

    def claim(self, most: int, *, at: datetime = LATER) -> list[Task]:
        item = leasing.Claim("default", most, "w", at, LEASE, turns=self.turns)
        (done,) = self.store.run(lambda connection: leasing.claim(connection, [item]))
        self.turns = leasing.turns_after(self.turns, done.result)
        return done.result

    def owners(self, most: int) -> str:
        return " ".join(task.media.owner or "-" for task in self.claim(most))


def test_owners_take_turns_within_a_claim_and_from_claim_to_claim(store: Store) -> None:
    for owner, n in (("ann", 4), ("bob", 2), ("zoe", 3)):
        submit(store, owner, n)
    claimer = Claimer(store)
    assert claimer.owners(5) == "ann bob zoe ann bob"
    assert claimer.owners(1) == "zoe"
    assert claimer.owners(9) == "ann zoe ann"


def test_who_has_ten_thousand_queued_delays_the_first_of_another_by_nothing(store: Store) -> None:
    submit(store, "hog", 10_000)
    claimer = Claimer(store)
    claimer.claim(16)
    first = submit(store, "newcomer", at=START + timedelta(hours=1))
    (task, *_) = claimer.claim(16)
    assert task.media.id == first[0].id


def test_each_of_many_owners_is_served_once_before_any_is_served_again(store: Store) -> None:
    owners = [f"owner {number:03}" for number in range(50)]
    for owner in owners:
        submit(store, owner, 3)
    claimer = Claimer(store)
    served = [task.media.owner for most in (7, 20, 40, 33) for task in claimer.claim(most)]
    assert sorted(served[:50]) == owners
    assert sorted(served[50:]) == owners


def test_a_claim_for_everything_takes_everything(store: Store) -> None:
    made = {media.id for number in range(40) for media in submit(store, f"owner {number}", 1 + number % 5)}
    made |= {media.id for media in submit(store, None, 7, priority=3)}
    assert {task.media.id for task in Claimer(store).claim(1000)} == made


def test_a_higher_priority_goes_before_every_turn_and_each_priority_has_turns_of_its_own(store: Store) -> None:
    for owner in ("ann", "bob"):
        submit(store, owner, 3)
    submit(store, "mia", 1, priority=1)
    claimer = Claimer(store)
    assert claimer.owners(2) == "mia ann"
    submit(store, "mia", 1, priority=1)
    assert claimer.owners(2) == "mia bob"


def test_owners_whose_jobs_are_not_due_are_passed_over(store: Store) -> None:
    for number in range(40):
        submit(store, f"later {number:02}", at=LATER + timedelta(hours=1))
    submit(store, "now")
    submit(store, "urgent", at=LATER + timedelta(hours=1), priority=9)
    assert Claimer(store).owners(3) == "now"


def test_several_claims_in_one_transaction_go_on_where_the_last_one_stopped(store: Store) -> None:
    for owner in ("ann", "bob", "zoe"):
        submit(store, owner, 2)
    items = [leasing.Claim("default", 1, "w", LATER, LEASE) for _ in range(4)]
    answers = store.run(lambda connection: leasing.claim(connection, items))
    assert [task.media.owner for done in answers for task in done.result] == ["ann", "bob", "zoe", "ann"]


# What a claim costs


def steps(store: Store, most: int) -> int:
    """What a claim made the database do: instructions of SQLite, index entries that PostgreSQL read."""
    item = leasing.Claim("default", most, "w", LATER, LEASE)
    if isinstance(store, InMemory):
        return _instructions(store, item)
    assert isinstance(store, OnPostgres)
    return store.run(lambda connection: _entries(connection, item))


def _instructions(store: InMemory, item: leasing.Claim) -> int:
    made = 0

    def count() -> int:
        nonlocal made
        made += 10
        return 0

    def claim(connection: Connection) -> None:
        driver = connection.connection.dbapi_connection
        assert driver is not None
        driver.set_progress_handler(count, 10)
        try:
            leasing.claim(connection, [item])
        finally:
            driver.set_progress_handler(None, 0)

    store.run(claim)
    return made


def _entries(connection: Connection, item: leasing.Claim) -> int:
    read = text("SELECT sum(pg_stat_get_xact_tuples_returned(oid)) FROM pg_class WHERE relname NOT LIKE 'pg_%'")
    before = connection.execute(read).scalar_one()
    leasing.claim(connection, [item])
    return int(connection.execute(read).scalar_one() - before)


LIMITS = {"InMemory": 25_000, "OnPostgres": 500}
"""Some three times what a claim does. One that looked through the queue would be far beyond."""


def test_a_claim_does_not_look_through_the_queue(store: Store) -> None:
    submit(store, "hog", 5000)
    submit(store, "backing off", 5000, at=LATER + timedelta(hours=1))
    submit(store, "urgent, but later", 1000, at=LATER + timedelta(hours=1), priority=1)
    for number in range(100):
        submit(store, f"owner {number}")
    assert steps(store, 16) < LIMITS[type(store).__name__]
    if isinstance(store, OnPostgres):  # which may plan otherwise once it knows its tables
        store.run(lambda connection: connection.execute(text("ANALYZE")))
        assert steps(store, 16) < LIMITS[type(store).__name__]


# The place in the queue


def place(store: Store, media: Media) -> int | None:
    return store.run(lambda connection: position(connection, media.job_id))


def test_no_more_jobs_go_first_than_the_place_in_the_queue_says(store: Store) -> None:
    made = [media for owner, n in (("ann", 5), ("bob", 1), ("zoe", 3), (None, 2)) for media in submit(store, owner, n)]
    made += submit(store, "bob", 2, priority=1)
    places = {media.id: place(store, media) for media in made}
    for n, task in enumerate(Claimer(store).claim(len(made))):
        assert n <= (places[task.media.id] or 0)
    assert places[made[0].id] == 2 + 3
    assert places[made[4].id] == 2 + 4 + 1 + 3 + 2


def test_the_place_in_the_queue_is_counted_up_to_a_thousand(store: Store) -> None:
    last = submit(store, "hog", 1500)[-1]
    (other,) = submit(store, "other")
    assert place(store, last) == 1000
    assert place(store, other) == 1
    store.run(lambda connection: asking.cancel(connection, [asking.Ask(other.id, LATER)]))
    assert place(store, other) is None
