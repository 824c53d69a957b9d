"""A worker's time-limited right to a job: taken, extended, lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from darkroom.db import claims, jobs, logs, media
from darkroom.db.claims import Turns
from darkroom.db.rows import from_failure
from darkroom.delivery import outbox
from darkroom.delivery.outbox import STARTED, Notice
from darkroom.engine.transitions.base import Done, after_job, ran
from darkroom.media.events import Claimed, Lost, MediaEvent
from darkroom.media.model import Failure, Job, Media
from darkroom.media.policy import Decision, GiveUp, RetryAt
from darkroom.media.states import JobState


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's wish for at most `most` due jobs of a lane, or of the media `only`.

    `turns`: whom the worker has served last, by priority.
    """

    lane: str
    most: int
    worker: str
    at: datetime
    lease: timedelta
    only: UUID | None = None
    turns: Turns = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """A job that a worker holds, and the media that it is to make."""

    job: Job
    media: Media


def claim(connection: Connection, items: Sequence[Claim]) -> list[Done[list[Task]]]:
    """Take due jobs, in turns between their owners, and move their media to PROCESSING."""
    answers: list[Done[list[Task]]] = []
    turns: dict[str, Turns] = {}
    for item in items:
        before = {**item.turns, **turns.get(item.lane, {})}
        answers.append(_claim(connection, item, before))
        turns[item.lane] = turns_after(before, answers[-1].result)
    return answers


def turns_after(turns: Turns, tasks: Sequence[Task]) -> Turns:
    """Whom a worker has served last, by priority, once it has served `tasks`."""
    return {**turns, **{task.job.priority: task.job.owner for task in tasks}}


def _claim(connection: Connection, item: Claim, turns: Turns) -> Done[list[Task]]:
    lease = claims.Lease(item.lane, item.worker, item.at, item.at + item.lease)
    if item.only is None:
        taken = claims.claim(connection, lease, item.most, turns)
    else:
        taken = claims.claim_only(connection, lease, item.only)
    if not taken:
        return Done([])
    started = media.start(connection, [job.media_id for job in taken], item.at)
    tasks = [Task(job, started[job.media_id]) for job in taken]
    events = tuple(_claimed(job, item) for job in taken)
    logs.add(connection, events)
    outbox.note(connection, [_started(task) for task in tasks if task.media.started_at == item.at])
    return Done(tasks, events)


def _started(task: Task) -> Notice:
    return Notice(task.media.id, task.job.owner, task.media.webhook, STARTED, task.media.updated_at)


def _claimed(job: Job, item: Claim) -> Claimed:
    waited = max(0.0, (item.at - job.run_at).total_seconds())
    return Claimed(job.media_id, job.id, item.at, item.worker, job.number, job.lane, waited)


@dataclass(frozen=True, slots=True)
class Beat:
    """A worker's sign of life for the jobs that it held when the sign was sent."""

    jobs: tuple[UUID, ...]
    until: datetime


def heartbeat(connection: Connection, items: Sequence[Beat]) -> list[Done[Mapping[UUID, datetime | None]]]:
    """Extend leases, all in one statement. Answers with the jobs still held, and when each was asked to cancel."""
    ids = {job_id for item in items for job_id in item.jobs}
    held = jobs.extend(connection, ids, max(item.until for item in items))
    return [Done({job_id: held[job_id] for job_id in item.jobs if job_id in held}) for item in items]


LOST_WITH_A_REF = 10
"""How many workers may be lost over a media whose tries are spent, and which a backend has or may have."""


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
    now = media.standing(connection, job.media_id)
    is_spent = now.tries + 1 >= now.max_tries
    goes_on = is_spent and job.may_run_on and _is_worth_it(connection, job)
    decision: Decision = RetryAt(at, counts=not is_spent, resume=True, routing=job.routing)
    if is_spent and not goes_on:
        decision = GiveUp()
    lost = Lost(job.media_id, job.id, at, job.worker, ran(job, at, job.provider, counts=not goes_on))
    return (lost, *after_job(connection, job, at, decision, failure))


def _is_worth_it(connection: Connection, job: Job) -> bool:
    """Whether a media without tries left goes on at its backend: to fetch what is paid for, or to stop it."""
    return job.cancel_requested_at is not None or jobs.count_lost(connection, job.media_id) <= LOST_WITH_A_REF
