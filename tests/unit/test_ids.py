"""Ids sort by the time they were made, and a time can be turned into a bound on them."""

import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from darkroom.media.ids import first_id_at, new_id

times = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001 - the zone comes with `timezones`
    max_value=datetime(9999, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7)), timezone(timedelta(hours=5, minutes=30))]),
)


def milliseconds(of: UUID) -> int:
    return of.int >> 80


def now() -> datetime:
    return datetime.now(UTC)


def test_ids_of_a_process_grow() -> None:
    made = [new_id(now()) for _ in range(20_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_of_one_moment_grow_too() -> None:
    at = now()
    made = [new_id(at) for _ in range(20_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


@given(times, times)
def test_ids_sort_like_the_times_they_were_made_at_whichever_came_first(one: datetime, other: datetime) -> None:
    first, second = new_id(one), new_id(other)
    assert one == other or (first < second) == (one < other)


def test_ids_of_several_threads_are_all_different_and_grow_in_each() -> None:
    made: list[list[UUID]] = [[] for _ in range(4)]

    def make(into: list[UUID]) -> None:
        into.extend(new_id(now()) for _ in range(5_000))

    threads = [threading.Thread(target=make, args=(into,)) for into in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(own == sorted(own) for own in made)
    assert len({it for own in made for it in own}) == 20_000


def test_an_id_is_a_uuid_of_version_7_made_now() -> None:
    before = time.time_ns() // 1_000_000
    made = new_id(now())
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, RFC_4122)
    assert before <= milliseconds(made) <= after


def test_ids_sort_the_same_as_text_as_bytes_and_as_numbers() -> None:
    made = [new_id(now()) for _ in range(1000)]
    assert sorted(made, key=str) == sorted(made, key=lambda it: it.bytes) == sorted(made)
    assert sorted(made, key=lambda it: it.hex) == sorted(made)


@given(times)
def test_a_bound_is_exact_to_the_millisecond(at: datetime) -> None:
    bound = first_id_at(at)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert epoch + timedelta(milliseconds=milliseconds(bound)) <= at
    assert at < epoch + timedelta(milliseconds=milliseconds(bound) + 1)
    assert (bound.version, bound.variant) == (7, RFC_4122)


@given(times, times)
def test_bounds_sort_like_their_times(one: datetime, other: datetime) -> None:
    assert one > other or first_id_at(one) <= first_id_at(other)


def test_an_id_lies_between_the_bounds_around_it() -> None:
    before = datetime.now(UTC)
    made = new_id(now())
    after = datetime.now(UTC) + timedelta(milliseconds=1)
    assert first_id_at(before) <= made < first_id_at(after)


def test_a_time_before_all_ids_is_below_all_of_them() -> None:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert first_id_at(datetime(1950, 1, 1, tzinfo=UTC)) <= first_id_at(epoch) < new_id(now())
