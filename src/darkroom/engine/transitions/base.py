"""What transitions share: their answers, and what becomes of a media when one of its jobs has ended."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import Connection

from darkroom.db import jobs, logs, media, trash
from darkroom.db.rows import from_failure
from darkroom.delivery import outbox
from darkroom.delivery.outbox import COMPLETED, Notice
from darkroom.engine.transitions.settling import Bill, settle
from darkroom.errors import DarkroomError, LeaseLost, OutputExpired, SubmissionUncertain, UnusableOutput
from darkroom.media.events import Cancelled, GaveUp, MediaEvent, Queued, Ran
from darkroom.media.ids import new_id
from darkroom.media.model import Failure, Job
from darkroom.media.policy import Decision, RetryAt
from darkroom.media.states import JobState, Status

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Done(Generic[R]):
    """A transition that was made: its result, and what happened."""

    result: R
    events: tuple[MediaEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says of a job that it holds."""

    job_id: UUID
    at: datetime


NOT_CARRIED: dict[str, Any] = dict.fromkeys(
    ("provider", "provider_ref", "route", "sent_at", "reserved", "cancel_requested_at")
)
"""What the next job knows of the last one only if it goes on at the backend."""

MAY_COST = (SubmissionUncertain.code, OutputExpired.code, UnusableOutput.code, "worker_lost")
"""Errors after which a backend may send a bill."""

ReportT = TypeVar("ReportT", bound=Report)
Answer = Done[R] | DarkroomError


def prefix_of(media_id: UUID, job_id: UUID | None = None) -> str:
    """Where in the store the files of a media, or of one of its jobs, are."""
    return f"{media_id}/" if job_id is None else f"{media_id}/{job_id}/"


def events_of(answers: Iterable[Answer[Any]]) -> list[MediaEvent]:
    """What happened in all of them."""
    return [event for answer in answers if isinstance(answer, Done) for event in answer.events]


def lease_lost(job_id: UUID) -> LeaseLost:
    """The answer to a worker that reports of a job it no longer holds."""
    return LeaseLost(f"job {job_id} is not running any more")


def ran(job: Job, at: datetime, provider: str | None, *, counts: bool = False) -> Ran:
    """What there is to count of a job that ends at `at`, with the provider that it ended at."""
    seconds = max(0.0, (at - job.started_at).total_seconds()) if job.started_at else None
    return Ran(job.lane, provider, seconds, counts)


def with_jobs(connection: Connection, items: Sequence[ReportT]) -> list[tuple[ReportT, Job | None]]:
    """Each item with its job, locked; None: it is not running, or an item before this one ends it."""
    held = jobs.hold(connection, [item.job_id for item in items])
    return [(item, held.pop(item.job_id, None)) for item in items]


def for_each_held(
    connection: Connection, items: Sequence[ReportT], end: Callable[[ReportT, Job], tuple[MediaEvent, ...]]
) -> list[Answer[None]]:
    """Do `end` with each item whose job is still its worker's, and write down what happened."""
    answers: list[Answer[None]] = [
        Done(None, end(item, job)) if job is not None else lease_lost(item.job_id)
        for item, job in with_jobs(connection, items)
    ]
    logs.add(connection, events_of(answers))
    return answers


def after_job(
    connection: Connection,
    job: Job,
    at: datetime,
    decision: Decision,
    failure: Failure | None = None,
    *,
    is_open: bool = False,
) -> tuple[MediaEvent, ...]:
    """Move on the media of a job that ended without success. `is_open`: its backend may send a bill.

    One that was to be cancelled ends, unless its backend goes on: then the next worker tells the backend first.
    """
    resumes = isinstance(decision, RetryAt) and decision.resume
    if job.cancel_requested_at is not None and not (resumes and job.may_run_on):
        return after_cancel(connection, job, at)
    trash.add(connection, [prefix_of(job.media_id, job.id)], delete_after=at)
    row: dict[str, Any] = {"id": job.media_id, "updated_at": at, "progress": None}
    if failure is not None:
        row["error"] = from_failure(failure, traceback=False)
    if not isinstance(decision, RetryAt):
        is_open = is_open or (failure is not None and failure.code in MAY_COST)
        return _give_up(connection, job, row, failure.code if failure is not None else "", is_open=is_open)
    if not resumes and job.reserved is not None:
        settle(connection, [Bill(job, media.standing(connection, job.media_id).model, job.provider)])
    new = next_job(connection, job, at, decision)
    row |= {"job_id": new, "next_run": decision.at}
    media.advance(connection, Status.IN_QUEUE, [row], counts=decision.counts)
    return (Queued(job.media_id, new, at, decision.at),)


def _give_up(
    connection: Connection, job: Job, row: dict[str, Any], code: str, *, is_open: bool
) -> tuple[MediaEvent, ...]:
    at = row["updated_at"]
    media.advance(connection, Status.ERROR, [row | {"completed_at": at}], counts=True)
    now = media.standing(connection, job.media_id)
    bill = Bill(job, now.model, job.provider, is_open=is_open)
    settle(connection, [bill])
    outbox.note(connection, [Notice(job.media_id, job.owner, now.webhook, COMPLETED, at)])
    return (GaveUp(job.media_id, job.id, at, now.tries, now.model, code, bill.paid),)


def after_cancel(
    connection: Connection, job: Job, at: datetime, ended: Ran | None = None, *, is_open: bool = False
) -> tuple[MediaEvent, ...]:
    """Move on the media of a job that ended because someone cancelled it.

    `ended`: unless another event says it. `is_open`: its backend may send a bill.
    """
    trash.add(connection, [prefix_of(job.media_id, job.id)], delete_after=at)
    row = {"id": job.media_id, "updated_at": at, "completed_at": at, "next_run": None, "progress": None}
    media.advance(connection, Status.CANCELLED, [row])
    now = media.standing(connection, job.media_id)
    settle(connection, [Bill(job, now.model, job.provider, is_open=is_open)])
    outbox.note(connection, [Notice(job.media_id, job.owner, now.webhook, COMPLETED, at)])
    return (Cancelled(job.media_id, job.id, at, now.model, ended),)


def next_job(connection: Connection, last: Job, at: datetime, decision: RetryAt, *, new: UUID | None = None) -> UUID:
    """Queue another job after `last`, with its lane and priority; return its id."""
    new = new or new_id(at)
    row = {
        "id": new, "media_id": last.media_id, "number": last.number + 1, "state": JobState.QUEUED,
        "lane": last.lane, "priority": last.priority, "owner": last.owner, "run_at": decision.at, "created_at": at,
        "routing": decision.routing.as_json(), **(_carried(last) if decision.resume else NOT_CARRIED),
    }  # fmt: skip
    jobs.add(connection, [row])
    return new


def _carried(last: Job) -> dict[str, Any]:
    return {column: getattr(last, column) for column in NOT_CARRIED}
