"""Statements on `jobs`. `hold` is the fence: no worker writes without it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, and_, bindparam, func, insert, or_, select, update

from darkroom.db.rows import to_job
from darkroom.db.tables import jobs
from darkroom.media.model import Job
from darkroom.media.states import JobState

DEEPEST_POSITION = 1000


def add(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert jobs, each a row of the table with the same columns."""
    connection.execute(insert(jobs), list(rows))


def claim(
    connection: Connection,
    *,
    lane: str,
    most: int,
    worker: str,
    now: datetime,
    lease_until: datetime,
    only: UUID | None = None,
) -> list[Job]:
    """Take the best due jobs of a lane (or of the media `only`): priority first, then age."""
    best = (
        select(jobs.c.id)
        .where(jobs.c.state == JobState.QUEUED, jobs.c.lane == lane, jobs.c.run_at <= now)
        .order_by(jobs.c.priority.desc(), jobs.c.run_at, jobs.c.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    if only is not None:
        best = best.where(jobs.c.media_id == only)
    chosen = best.cte("best")
    statement = (
        update(jobs)
        .where(jobs.c.id.in_(select(chosen.c.id)))
        .values(state=JobState.RUNNING, worker=worker, lease_expires_at=lease_until, started_at=now)
        .returning(jobs)
    )
    taken = [to_job(row) for row in connection.execute(statement)]
    return sorted(taken, key=lambda job: (-job.priority, job.run_at, job.id))


def hold(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, Job]:
    """Lock those of `ids` that are running, by id. One that is missing is no longer its worker's."""
    statement = select(jobs).where(jobs.c.id.in_(ids), jobs.c.state == JobState.RUNNING)
    found = connection.execute(statement.order_by(jobs.c.id).with_for_update())
    return {row.id: to_job(row) for row in found}


def expired(connection: Connection, now: datetime, *, limit: int) -> list[Job]:
    """Lock running jobs whose lease has run out, oldest first."""
    statement = select(jobs).where(jobs.c.state == JobState.RUNNING, jobs.c.lease_expires_at < now)
    statement = statement.order_by(jobs.c.lease_expires_at).limit(limit).with_for_update(skip_locked=True)
    return [to_job(row) for row in connection.execute(statement)]


def end(connection: Connection, state: JobState, rows: Sequence[Mapping[str, Any]]) -> None:
    """End running jobs that the caller holds: `rows` hold `the_id` and the columns that change."""
    statement = update(jobs).where(jobs.c.id == bindparam("the_id"), jobs.c.state == JobState.RUNNING)
    connection.execute(statement.values(state=state), list(rows))


def extend(connection: Connection, ids: Sequence[UUID], until: datetime) -> dict[UUID, datetime | None]:
    """Extend the leases of those of `ids` that are running; return when each was asked to cancel, if it was."""
    statement = (
        update(jobs)
        .where(jobs.c.id.in_(ids), jobs.c.state == JobState.RUNNING)
        .values(lease_expires_at=until)
        .returning(jobs.c.id, jobs.c.cancel_requested_at)
    )
    return {row.id: row.cancel_requested_at for row in connection.execute(statement)}


def accept(connection: Connection, job_id: UUID, *, provider: str, ref: str) -> bool:
    """Save the backend's own id of a running job; False: it is not running."""
    statement = update(jobs).where(jobs.c.id == job_id, jobs.c.state == JobState.RUNNING)
    return connection.execute(statement.values(provider=provider, provider_ref=ref)).rowcount > 0


def cancel_queued(connection: Connection, job_id: UUID, at: datetime) -> bool:
    """Cancel a job that nobody has claimed; False: it is not queued."""
    statement = update(jobs).where(jobs.c.id == job_id, jobs.c.state == JobState.QUEUED)
    return connection.execute(statement.values(state=JobState.CANCELLED, finished_at=at)).rowcount > 0


def request_cancel(connection: Connection, job_id: UUID, at: datetime) -> bool:
    """Ask the worker of a running job to let go; False: it is not running."""
    statement = update(jobs).where(jobs.c.id == job_id, jobs.c.state == JobState.RUNNING)
    asked = func.coalesce(jobs.c.cancel_requested_at, bindparam(None, at, type_=jobs.c.run_at.type))
    return connection.execute(statement.values(cancel_requested_at=asked)).rowcount > 0


def state_of(connection: Connection, job_id: UUID) -> JobState | None:
    """The state of a job; None: there is no such job (its media was deleted)."""
    return connection.execute(select(jobs.c.state).where(jobs.c.id == job_id)).scalar()


def any_expired(connection: Connection, now: datetime) -> bool:
    """Whether a lease has run out."""
    statement = select(jobs.c.id).where(jobs.c.state == JobState.RUNNING, jobs.c.lease_expires_at < now)
    return connection.execute(statement.limit(1)).first() is not None


def of_media(connection: Connection, media_id: UUID) -> list[Job]:
    """Every job of a media, in order."""
    statement = select(jobs).where(jobs.c.media_id == media_id).order_by(jobs.c.number)
    return [to_job(row) for row in connection.execute(statement)]


def last_of(connection: Connection, media_id: UUID) -> Job:
    """The last job of a media."""
    statement = select(jobs).where(jobs.c.media_id == media_id).order_by(jobs.c.number.desc()).limit(1)
    return to_job(connection.execute(statement).one())


def due_lanes(connection: Connection, lanes: Sequence[str], now: datetime) -> list[str]:
    """Those of `lanes` in which a job is due."""
    due = select(jobs.c.id).where(jobs.c.state == JobState.QUEUED, jobs.c.run_at <= now).limit(1)
    return [lane for lane in lanes if connection.execute(due.where(jobs.c.lane == lane)).first()]


def position(connection: Connection, job_id: UUID) -> int | None:
    """How many queued jobs of its lane go before this one, counted up to 1,000; None: it is not queued."""
    job = connection.execute(select(jobs).where(jobs.c.id == job_id, jobs.c.state == JobState.QUEUED)).one_or_none()
    if job is None:
        return None
    earlier = or_(jobs.c.run_at < job.run_at, and_(jobs.c.run_at == job.run_at, jobs.c.id < job.id))
    ahead = (
        select(jobs.c.id)
        .where(jobs.c.state == JobState.QUEUED, jobs.c.lane == job.lane)
        .where(or_(jobs.c.priority > job.priority, and_(jobs.c.priority == job.priority, earlier)))
        .limit(DEEPEST_POSITION)
    )
    return connection.execute(select(func.count()).select_from(ahead.subquery())).scalar_one()
