"""What a worker reports of the jobs that it holds. Each report passes the fence or is refused as `LeaseLost`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from darkroom.db import accounts, files, jobs, logs, media, trash
from darkroom.db.rows import from_failure
from darkroom.delivery import outbox
from darkroom.delivery.outbox import COMPLETED, OUTPUT, PROGRESS, Notice
from darkroom.engine.transitions.base import (
    Answer,
    Done,
    Report,
    after_cancel,
    after_job,
    events_of,
    for_each_held,
    lease_lost,
    prefix_of,
    ran,
    with_jobs,
)
from darkroom.engine.transitions.settling import Bill, Trouble, note_trouble, settle
from darkroom.media.events import Accepted, Completed, Failed, MediaEvent, Progressed, Released, Stored
from darkroom.media.model import Failure, File, Job, Webhook
from darkroom.media.policy import Decision, RetryAt
from darkroom.media.routing import Account
from darkroom.media.states import JobState, Status


@dataclass(frozen=True, slots=True)
class Accept(Report):
    """The backend took it under `ref`."""

    media_id: UUID
    provider: str
    ref: str
    route: str


def accept(connection: Connection, items: Sequence[Accept]) -> list[Answer[None]]:
    """Save the backends' own ids."""
    held = jobs.hold(connection, [item.job_id for item in items])
    rows = [
        {"the_id": item.job_id, "the_provider": item.provider, "the_ref": item.ref, "the_route": item.route}
        for item in items
        if item.job_id in held
    ]
    if rows:
        jobs.accept(connection, rows)
    answers: list[Answer[None]] = [
        Done(None, (Accepted(item.media_id, item.job_id, item.at, item.provider),))
        if item.job_id in held
        else lease_lost(item.job_id)
        for item in items
    ]
    logs.add(connection, events_of(answers))
    return answers


@dataclass(frozen=True, slots=True)
class Step:
    """How far a job is, whether its story tells it, and whether a webhook may have to be told."""

    event: Progressed
    milestone: bool
    webhook: Webhook | None = None


def progress(connection: Connection, items: Sequence[Step]) -> list[Done[None]]:
    """Save how far jobs are. One that is no longer live is passed over: its worker hears of it elsewhere."""
    held = jobs.hold(connection, [item.event.job_id for item in items])
    live = [item for item in items if item.event.job_id in held]
    if live:
        media.set_progress(connection, [_progress(held[item.event.job_id], item.event) for item in live])
        logs.add(connection, [item.event for item in live if item.milestone])
        outbox.note(
            connection, [_notice(held[item.event.job_id], item.webhook, PROGRESS, item.event.at) for item in live]
        )
    return [Done(None, (item.event,) if item.event.job_id in held else ()) for item in items]


def _notice(job: Job, webhook: Webhook | None, event: str, at: datetime) -> Notice:
    return Notice(job.media_id, job.owner, webhook, event, at)


def _progress(job: Job, event: Progressed) -> dict[str, Any]:
    progress = {"step": event.step, "total": event.total}
    return {"the_id": job.media_id, "progress": progress, "updated_at": event.at}


def tell(connection: Connection, items: Sequence[MediaEvent]) -> list[Done[None]]:
    """Add lines to the stories of media that still exist."""
    known = jobs.hold(connection, [item.job_id for item in items])
    logs.add(connection, [item for item in items if item.job_id in known])
    return [Done(None) for _ in items]


@dataclass(frozen=True, slots=True)
class Complete(Report):
    """The pictures are stored. `account`: of the backend that made them, if it is guarded."""

    provider: str
    files: tuple[File, ...]
    stored: tuple[Stored, ...]
    cost: Decimal | None
    model: str = ""
    account: Account | None = None
    route: str | None = None
    webhook: Webhook | None = None


def complete(connection: Connection, items: Sequence[Complete]) -> list[Answer[None]]:
    """Write files, jobs and media: COMPLETED."""
    accounts.succeed(connection, {item.account.name: item.account.failures for item in items if item.account})
    pairs = with_jobs(connection, items)
    ours = [(item, job) for item, job in pairs if job is not None]
    if ours:
        jobs.end(connection, JobState.SUCCEEDED, [_succeeded_row(item, job) for item, job in ours])
        media.advance(connection, Status.COMPLETED, [_completed_row(item, job) for item, job in ours], counts=True)
        files.add(connection, [file for item, _ in ours for file in item.files])
        settle(connection, [_bill(item, job) for item, job in ours])
        told = [_notice(job, item.webhook, event, item.at) for item, job in ours for event in (OUTPUT, COMPLETED)]
        outbox.note(connection, told)
    answers = [_completed(item, job) if job is not None else lease_lost(item.job_id) for item, job in pairs]
    logs.add(connection, events_of(answers))
    return answers


def _succeeded_row(item: Complete, job: Job) -> dict[str, Any]:
    return _ended(item, item.provider, cost=item.cost, route=item.route or job.route)


def _completed_row(item: Complete, job: Job) -> dict[str, Any]:
    return {
        "id": job.media_id, "updated_at": item.at, "completed_at": item.at, "error": None, "cost": item.cost,
    }  # fmt: skip


def _completed(item: Complete, job: Job) -> Answer[None]:
    ended = ran(job, item.at, item.provider, counts=True)
    paid = _bill(item, job).paid
    completed = Completed(job.media_id, job.id, item.at, len(item.files), item.model, ended, paid)
    return Done(None, (*item.stored, completed))


def _bill(item: Complete, job: Job) -> Bill:
    return Bill(job, item.model, item.provider, item.cost, len(item.files))


@dataclass(frozen=True, slots=True)
class Fail(Report):
    """The try failed; `decision` says what becomes of the media, `trouble` what that says of an account.

    `is_open`: the backend may go on, and send a bill.
    """

    provider: str | None
    failure: Failure
    decision: Decision
    trouble: Trouble | None = None
    is_open: bool = False


def fail(connection: Connection, items: Sequence[Fail]) -> list[Answer[None]]:
    """End jobs as failed; queue their media again or give them up."""
    troubles = [(item.trouble, item.at) for item in items if item.trouble is not None]
    if troubles:
        note_trouble(connection, troubles)

    def end(item: Fail, job: Job) -> tuple[MediaEvent, ...]:
        error = from_failure(item.failure, traceback=True)
        jobs.end(connection, JobState.FAILED, [_ended(item, item.provider, error=error)])
        counts = not isinstance(item.decision, RetryAt) or item.decision.counts
        failed = Failed(job.media_id, job.id, item.at, item.failure, ran(job, item.at, item.provider, counts=counts))
        return (failed, *after_job(connection, job, item.at, item.decision, item.failure, is_open=item.is_open))

    return for_each_held(connection, items, end)


@dataclass(frozen=True, slots=True)
class Release(Report):
    """The worker stops; another goes on."""

    worker: str


def release(connection: Connection, items: Sequence[Release]) -> list[Answer[None]]:
    """Give jobs back without counting a try. The next job resumes at the backend."""

    def end(item: Release, job: Job) -> tuple[MediaEvent, ...]:
        jobs.end(connection, JobState.RELEASED, [_ended(item, job.provider)])
        resume = RetryAt(item.at, counts=False, resume=True, routing=job.routing)
        again = after_job(connection, job, item.at, resume)
        return (Released(job.media_id, job.id, item.at, item.worker, ran(job, item.at, job.provider)), *again)

    return for_each_held(connection, items, end)


@dataclass(frozen=True, slots=True)
class LetGo(Report):
    """The provider let go of a job that was to be cancelled. `is_open`: its backend may send a bill all the same."""

    is_open: bool = False


def let_go(connection: Connection, items: Sequence[LetGo]) -> list[Answer[None]]:
    """End jobs whose cancellation was requested, now that the provider let go."""

    def end(item: LetGo, job: Job) -> tuple[MediaEvent, ...]:
        jobs.end(connection, JobState.CANCELLED, [_ended(item, job.provider)])
        return after_cancel(connection, job, item.at, ran(job, item.at, job.provider), is_open=item.is_open)

    return for_each_held(connection, items, end)


@dataclass(frozen=True, slots=True)
class Discard(Report):
    """What the job stored is not wanted: it had lost its lease."""

    media_id: UUID


def discard(connection: Connection, items: Sequence[Discard]) -> list[Done[bool]]:
    """Have what jobs stored cleared away. One that succeeded after all (its answer got lost) is left alone.

    Answers whether the job still exists, or was deleted with its media.
    """
    states = [jobs.state_of(connection, item.job_id) for item in items]
    for item, state in zip(items, states, strict=True):
        if state != JobState.SUCCEEDED:
            trash.add(connection, [prefix_of(item.media_id, item.job_id)], delete_after=item.at)
    return [Done(state is not None) for state in states]


def _ended(item: Report, provider: str | None, **values: Any) -> dict[str, Any]:
    return {"the_id": item.job_id, "finished_at": item.at, "provider": provider, **values}
