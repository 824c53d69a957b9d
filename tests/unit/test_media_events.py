"""How the story of a media reads."""

from datetime import UTC, datetime
from typing import get_args
from uuid import uuid4

import pytest

from darkroom.db.logs import name
from darkroom.media import events
from darkroom.media.events import FINAL, MediaEvent
from darkroom.media.model import Failure

AT = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
WHERE = (uuid4(), uuid4(), AT)
FAILURE = Failure("provider_unavailable", "the backend is busy", retryable=True, traceback="Traceback: secret")

LINES: list[tuple[MediaEvent, str, str]] = [
    (events.Submitted(*WHERE, "sketch"), "submitted", "submitted for sketch"),
    (events.Claimed(*WHERE, "host-1", 2), "claimed", "job 2 claimed by host-1"),
    (events.Accepted(*WHERE, "replicate"), "accepted", "accepted by replicate"),
    (events.Progressed(*WHERE, 5, 20), "progressed", "step 5 of 20"),
    (events.Stored(*WHERE, 0, "image/png", 1234), "stored", "picture 0 stored: image/png, 1234 bytes"),
    (events.Waiting(*WHERE, "the disk is full"), "waiting", "waiting: the disk is full"),
    (events.Failed(*WHERE, FAILURE), "failed", "failed because the backend is busy (provider_unavailable)"),
    (events.Lost(*WHERE, "host-1"), "lost", "lost: the lease of host-1 ran out"),
    (events.Released(*WHERE, "host-1"), "released", "released by host-1"),
    (events.Queued(*WHERE, AT), "queued", "to be retried at 2030-01-02T03:04:05.678+00:00"),
    (events.CancelRequested(*WHERE), "cancel_requested", "cancellation requested"),
    (events.Cancelled(*WHERE), "cancelled", "cancelled"),
    (events.GaveUp(*WHERE, 1), "gave_up", "given up after 1 try"),
    (events.GaveUp(*WHERE, 3), "gave_up", "given up after 3 tries"),
    (events.Completed(*WHERE, 1), "completed", "completed with 1 file"),
    (events.Completed(*WHERE, 4), "completed", "completed with 4 files"),
    (events.Deleted(*WHERE), "deleted", "deleted"),
]


@pytest.mark.parametrize(("event", "called", "line"), LINES, ids=lambda it: it if isinstance(it, str) else "")
def test_an_event_has_a_name_and_a_line_that_a_person_reads(event: MediaEvent, called: str, line: str) -> None:
    assert (name(event), event.line) == (called, line)


def test_every_event_is_in_the_table_above() -> None:
    assert {type(event) for event, _, _ in LINES} == set(get_args(MediaEvent))


def test_a_story_shows_no_traceback() -> None:
    assert all("secret" not in event.line for event, _, _ in LINES)


def test_what_is_final_is_among_what_happens() -> None:
    assert set(get_args(FINAL)) < set(get_args(MediaEvent))
