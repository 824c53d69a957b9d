"""A worker's time-limited right to a job: taken, extended, lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from darkroom.db import jobs, logs, media
from darkroom.db.rows import from_failure
from darkroom.engine.transitions.base import Done, after_job
from darkroom.media.events import Claimed, Lost, MediaEvent
from darkroom.media.model import Failure, Job, Media
from darkroom.media.policy import Decision, GiveUp, RetryAt
from darkroom.media.states import JobState


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's wish for at most `most` due jobs of a lane, or of the media `only`."""

    lane: str
    most: int
    worker: str
    at: datetime
    lease: timedelta
    only: UUID | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A job that a worker holds, and the media that it is to make."""

    job: Job
    media: Media


def claim(connection: Connection, items: Sequence[Claim]) -> list[Done[list[Task]]]:
    """Take due jobs, best first, and move their media to PROCESSING."""
    return [_claim(connection, item) for item in items]


def _claim(connection: Connection, item: Claim) -> Done[list[Task]]:
    taken = jobs.claim(
        connection,
        lane=item.lane,
        most=item.most,
        worker=item.worker,
        now=item.at,
        lease_until=item.at + item.lease,
        only=item.only,
    )
    if not taken:
        return Done([])
    started = media.start(connection, [job.media_id for job in taken], item.at)
    tasks = [Task(job, started[job.media_id]) for job in taken]
    events = tuple(Claimed(job.media_id, job.id, item.at, item.worker, job.number) for job in taken)
    logs.add(connection, events)
    return Done(tasks, events)


@dataclass(frozen=True, slots=True)
class Beat:
    """A worker's sign of life for the jobs that it held when the sign was sent."""

    jobs: tuple[UUID, ...]
    until: datetime


def heartbeat(connection: Connection, items: Sequence[Beat]) -> list[Done[Mapping[UUID, datetime | None]]]:
    """Extend leases. Answers with the jobs still held, and when each was asked to cancel."""
    jobs.hold(connection, [job_id for item in items for job_id in item.jobs])  # locks are taken in one order
    return [Done(jobs.extend(connection, item.jobs, item.until)) for item in items]


@dataclass(frozen=True, slots=True)
class Lose:
    """Take at most `most` jobs whose lease ran out before `at` from their workers."""

    at: datetime
    most: int


def lose(connection: Connection, items: Sequence[Lose]) -> list[Done[int]]:
    """End jobs whose worker is gone; the try counts, so that a job cannot kill its workers for ever."""
    answers = []
    for item in items:
        expired = jobs.expired(connection, item.at, limit=item.most)
        events = [event for job in expired for event in _lose(connection, job, item.at)]
        logs.add(connection, events)
        answers.append(Done(len(expired), tuple(events)))
    return answers


def _lose(connection: Connection, job: Job, at: datetime) -> tuple[MediaEvent, ...]:
    failure = Failure("worker_lost", "the worker stopped answering before the job ended", retryable=True)
    error = from_failure(failure, traceback=True)
    jobs.end(connection, JobState.LOST, [{"the_id": job.id, "finished_at": at, "error": error}])
    tries, most = media.tries(connection, job.media_id)
    decision: Decision = GiveUp() if tries + 1 >= most else RetryAt(at, counts=True)
    lost = Lost(job.media_id, job.id, at, job.worker)
    return (lost, *after_job(connection, job, at, decision, failure, resume=True))
