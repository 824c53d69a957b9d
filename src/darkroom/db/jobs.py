"""Statements on `jobs`. `hold` is the fence: no worker writes without it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from darkroom.db.rows import to_job
from darkroom.db.tables import QUEUED, RUNNING, jobs
from darkroom.media.model import Job
from darkroom.media.states import JobState

DEEPEST_POSITION = 1000


def add(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert jobs, each a row of the table with the same columns."""
    connection.execute(insert(jobs), list(rows))


def _claim(*conditions: ColumnElement[bool]) -> ReturningUpdate[*tuple[Any, ...]]:
    best = (
        select(jobs.c.id)
        .where(QUEUED, jobs.c.lane == bindparam("the_lane"), jobs.c.run_at <= bindparam("now"), *conditions)
        .order_by(jobs.c.priority.desc(), jobs.c.run_at, jobs.c.id)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
        .cte("best")
    )
    claimed = update(jobs).where(jobs.c.id.in_(select(best.c.id))).values(state=JobState.RUNNING)
    return claimed.values(
        worker=bindparam("the_worker"), lease_expires_at=bindparam("lease_until"), started_at=bindparam("now")
    ).returning(jobs)


_CLAIM = _claim()
_CLAIM_ONLY = _claim(jobs.c.media_id == bindparam("only"))
_HOLD = (
    select(jobs)
    .where(jobs.c.id.in_(bindparam("ids", expanding=True)), RUNNING)
    .order_by(jobs.c.id)
    .with_for_update()
)  # fmt: skip


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
    values = {"the_lane": lane, "most": most, "the_worker": worker, "now": now, "lease_until": lease_until}
    if only is None:
        rows = connection.execute(_CLAIM, values)
    else:
        rows = connection.execute(_CLAIM_ONLY, values | {"only": only})
    return sorted(map(to_job, rows), key=lambda job: (-job.priority, job.run_at, job.id))


def hold(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, Job]:
    """Lock those of `ids` that are running, by id. One that is missing is no longer its worker's."""
    return {row.id: to_job(row) for row in connection.execute(_HOLD, {"ids": ids})}


def expired(connection: Connection, now: datetime, *, limit: int) -> list[Job]:
    """Lock running jobs whose lease has run out, oldest first."""
    statement = select(jobs).where(RUNNING, jobs.c.lease_expires_at < now)
    statement = statement.order_by(jobs.c.lease_expires_at).limit(limit).with_for_update(skip_locked=True)
    return [to_job(row) for row in connection.execute(statement)]


_END = update(jobs).where(jobs.c.id == bindparam("the_id"), RUNNING).values(state=bindparam("to"))


def end(connection: Connection, state: JobState, rows: Sequence[Mapping[str, Any]]) -> None:
    """End running jobs that the caller holds: `rows` hold `the_id` and the columns that change."""
    connection.execute(_END, [{"to": state, **row} for row in rows])


def extend(connection: Connection, ids: Sequence[UUID], until: datetime) -> dict[UUID, datetime | None]:
    """Extend the leases of those of `ids` that are running; return when each was asked to cancel, if it was."""
    statement = (
        update(jobs)
        .where(jobs.c.id.in_(ids), RUNNING)
        .values(lease_expires_at=until)
        .returning(jobs.c.id, jobs.c.cancel_requested_at)
    )
    return {row.id: row.cancel_requested_at for row in connection.execute(statement)}


_ACCEPT = (
    update(jobs)
    .where(jobs.c.id == bindparam("the_id"), RUNNING)
    .values(provider=bindparam("the_provider"), provider_ref=bindparam("the_ref"))
)


def accept(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Save the backends' own ids of running jobs that the caller holds: `the_id`, `the_provider`, `the_ref`."""
    connection.execute(_ACCEPT, list(rows))


def cancel_queued(connection: Connection, job_id: UUID, at: datetime) -> bool:
    """Cancel a job that nobody has claimed; False: it is not queued."""
    statement = update(jobs).where(jobs.c.id == job_id, QUEUED)
    return connection.execute(statement.values(state=JobState.CANCELLED, finished_at=at)).rowcount > 0


def request_cancel(connection: Connection, job_id: UUID, at: datetime) -> bool:
    """Ask the worker of a running job to let go; False: it is not running."""
    statement = update(jobs).where(jobs.c.id == job_id, RUNNING)
    asked = func.coalesce(jobs.c.cancel_requested_at, bindparam(None, at, type_=jobs.c.run_at.type))
    return connection.execute(statement.values(cancel_requested_at=asked)).rowcount > 0


def state_of(connection: Connection, job_id: UUID) -> JobState | None:
    """The state of a job; None: there is no such job (its media was deleted)."""
    return connection.execute(select(jobs.c.state).where(jobs.c.id == job_id)).scalar()


def any_expired(connection: Connection, now: datetime) -> bool:
    """Whether a lease has run out."""
    statement = select(jobs.c.id).where(RUNNING, jobs.c.lease_expires_at < now)
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
    due = select(jobs.c.id).where(QUEUED, jobs.c.run_at <= now).limit(1)
    return [lane for lane in lanes if connection.execute(due.where(jobs.c.lane == lane)).first()]


_FIRST = (
    select(jobs.c.priority, jobs.c.run_at, jobs.c.id)
    .where(QUEUED, jobs.c.lane == bindparam("the_lane"))
    .order_by(jobs.c.priority.desc(), jobs.c.run_at, jobs.c.id)
    .limit(DEEPEST_POSITION)
    .subquery()
)
_AHEAD = select(func.count()).where(
    or_(
        _FIRST.c.priority > bindparam("the_priority"),
        and_(
            _FIRST.c.priority == bindparam("the_priority"),
            or_(
                _FIRST.c.run_at < bindparam("the_time"),
                and_(_FIRST.c.run_at == bindparam("the_time"), _FIRST.c.id < bindparam("the_id")),
            ),
        ),
    )
)
_QUEUED_JOB = select(jobs.c.lane, jobs.c.priority, jobs.c.run_at).where(jobs.c.id == bindparam("the_id"), QUEUED)


def waiting_lanes(connection: Connection) -> list[str]:
    """The lanes that queued jobs are in, each found by one step in the index."""
    lanes: list[str] = []
    first = select(func.min(jobs.c.lane)).where(QUEUED)
    lane = connection.execute(first).scalar()
    while lane is not None:
        lanes.append(lane)
        lane = connection.execute(first.where(jobs.c.lane > lane)).scalar()
    return lanes


def move(connection: Connection, lane: str, to: str) -> int:
    """Move the queued jobs of a lane to another; return how many."""
    return connection.execute(update(jobs).where(QUEUED, jobs.c.lane == lane).values(lane=to)).rowcount


def position(connection: Connection, job_id: UUID) -> int | None:
    """How many queued jobs of its lane go before this one, of the first 1,000; None: it is not queued."""
    job = connection.execute(_QUEUED_JOB, {"the_id": job_id}).one_or_none()
    if job is None:
        return None
    place = {"the_lane": job.lane, "the_priority": job.priority, "the_time": job.run_at, "the_id": job_id}
    return connection.execute(_AHEAD, place).scalar_one()
