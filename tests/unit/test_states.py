"""The table of legal moves."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import pytest

from darkroom.media.states import ENDED, LEGAL, LEGAL_JOB, RETRYABLE, JobState, Status, sources

TABLES = [pytest.param(LEGAL, Status, id="media"), pytest.param(LEGAL_JOB, JobState, id="jobs")]


@pytest.mark.parametrize(("legal", "kind"), TABLES)
def test_every_state_has_a_row_and_no_state_moves_to_itself(legal: Mapping[Any, Any], kind: type[StrEnum]) -> None:
    assert set(legal) == set(kind)
    assert all(now not in targets for now, targets in legal.items())


@pytest.mark.parametrize(("legal", "first"), [(LEGAL, Status.IN_QUEUE), (LEGAL_JOB, JobState.QUEUED)])
def test_every_state_can_be_reached(legal: Mapping[Any, Any], first: Any) -> None:
    reached: set[Any] = set()
    ahead = {first}
    while ahead:
        reached |= ahead
        ahead = {to for now in ahead for to in legal[now]} - reached
    assert reached == set(legal)


def test_a_completed_media_stays_as_it_is() -> None:
    assert LEGAL[Status.COMPLETED] == frozenset()


def test_an_ended_media_goes_on_only_through_the_queue_and_only_if_it_may_be_retried() -> None:
    assert {now for now in ENDED if LEGAL[now]} == RETRYABLE
    assert all(LEGAL[now] == {Status.IN_QUEUE} for now in RETRYABLE)


def test_from_where_there_is_a_way_to_an_end() -> None:
    assert all(LEGAL[now] & ENDED for now in set(Status) - ENDED)


def test_a_job_ends_once() -> None:
    ended = set(JobState) - {JobState.QUEUED, JobState.RUNNING}
    assert all(LEGAL_JOB[now] == frozenset() for now in ended)


def test_a_job_that_nobody_claimed_can_only_be_claimed_or_cancelled() -> None:
    assert LEGAL_JOB[JobState.QUEUED] == {JobState.RUNNING, JobState.CANCELLED}


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        (Status.IN_QUEUE, {Status.PROCESSING, Status.ERROR, Status.CANCELLED}),
        (Status.PROCESSING, {Status.IN_QUEUE}),
        (Status.COMPLETED, {Status.PROCESSING}),
        (Status.ERROR, {Status.PROCESSING}),
        (Status.CANCELLED, {Status.IN_QUEUE, Status.PROCESSING}),
    ],
)
def test_the_sources_of_a_move_are_the_table_read_backwards(to: Status, expected: set[Status]) -> None:
    assert sources(LEGAL, to) == expected
