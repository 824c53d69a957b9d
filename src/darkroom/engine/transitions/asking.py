"""What a person asks for: cancel, retry, delete."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from darkroom.db import deliveries, jobs, logs, media, trash
from darkroom.delivery import outbox
from darkroom.engine.transitions.base import Answer, Done, after_cancel, events_of, next_job, prefix_of, ran
from darkroom.engine.transitions.settling import Bill, settle
from darkroom.errors import Conflict, NotFound
from darkroom.media.events import CancelRequested, Deleted, Queued
from darkroom.media.ids import new_id
from darkroom.media.policy import RetryAt
from darkroom.media.states import ENDED, LEGAL, RETRYABLE, Status, sources


@dataclass(frozen=True, slots=True)
class Ask:
    """A person's wish about one media."""

    media_id: UUID
    at: datetime


def cancel(connection: Connection, items: Sequence[Ask]) -> list[Answer[None]]:
    """Cancel queued media at once; ask the workers of the others to let go."""
    media.hold(connection, [item.media_id for item in items])
    answers = [_cancel(connection, item) for item in items]
    logs.add(connection, events_of(answers))
    return answers


def _cancel(connection: Connection, item: Ask) -> Answer[None]:
    live = media.live_job(connection, item.media_id)
    if live is None:
        return no_such_media(item.media_id)
    if jobs.cancel_queued(connection, live.job_id, item.at):
        job = jobs.last_of(connection, item.media_id)
        return Done(None, after_cancel(connection, job, item.at, ran(job, item.at, job.provider)))
    if jobs.request_cancel(connection, live.job_id, item.at):
        return Done(None, (CancelRequested(item.media_id, live.job_id, item.at),))
    return _conflict(live.status, sources(LEGAL, Status.CANCELLED))


def retry(connection: Connection, items: Sequence[Ask]) -> list[Answer[str]]:
    """Put ended media back into the queue, with a new job and all their tries. Answers with the lane."""
    media.hold(connection, [item.media_id for item in items])
    answers = [_retry(connection, item) for item in items]
    logs.add(connection, events_of(answers))
    return answers


def _retry(connection: Connection, item: Ask) -> Answer[str]:
    new = new_id(item.at)
    if not media.reopen(connection, item.media_id, job_id=new, at=item.at):
        now = media.live_job(connection, item.media_id)
        return no_such_media(item.media_id) if now is None else _conflict(now.status, RETRYABLE)
    outbox.take_back(connection, item.media_id, item.at)
    last = jobs.last_of(connection, item.media_id)
    next_job(connection, last, item.at, RetryAt(item.at, counts=False), new=new)
    return Done(last.lane, (Queued(item.media_id, new, item.at, item.at),))


def remove(connection: Connection, items: Sequence[Ask]) -> list[Answer[None]]:
    """Delete media, whatever their status; the store is cleared afterwards."""
    media.hold(connection, [item.media_id for item in items])
    return [_remove(connection, item) for item in items]


def _remove(connection: Connection, item: Ask) -> Answer[None]:
    live = media.live_job(connection, item.media_id)
    if live is None:
        return no_such_media(item.media_id)
    bills = []
    if live.status not in ENDED:
        job = jobs.last_of(connection, item.media_id)
        bills = [Bill(job, media.standing(connection, item.media_id).model, job.provider, is_open=True)]
        settle(connection, bills)
    deliveries.hold(connection, item.media_id)  # those who tell lock them in the same order
    if not media.remove(connection, item.media_id):
        return no_such_media(item.media_id)
    trash.add(connection, [prefix_of(item.media_id)], delete_after=item.at)
    return Done(None, (Deleted(item.media_id, live.job_id, item.at, bills[0].paid if bills else None),))


def no_such_media(media_id: UUID) -> NotFound:
    """The answer to a question about a media that is not there."""
    return NotFound(f"there is no media {media_id}", field="media_id")


def _conflict(now: Status, right: frozenset[Status]) -> Conflict:
    return Conflict(f"the media is {now}; this needs one that is {' or '.join(sorted(right))}")
