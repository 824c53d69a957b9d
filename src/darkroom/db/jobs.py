"""Statements on `jobs`. `hold` is the fence: no worker writes without it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, bindparam, case, func, insert, or_, select, update

from darkroom.db.rows import to_job
from darkroom.db.tables import QUEUED, RUNNING, jobs
from darkroom.media.model import Job
from darkroom.media.states import JobState


def add(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert jobs, each a row of the table with the same columns."""
    connection.execute(insert(jobs), list(rows))


_HOLD = (
    select(jobs)
    .where(jobs.c.id.in_(bindparam("ids", expanding=True)), RUNNING)
    .order_by(jobs.c.id)
    .with_for_update()
)  # fmt: skip


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


_HELD = select(jobs.c.id).where(jobs.c.id.in_(bindparam("ids", expanding=True)), RUNNING)
_EXTEND = (
    update(jobs)
    .where(jobs.c.id.in_(_HELD.order_by(jobs.c.id).with_for_update()))
    .values(lease_expires_at=bindparam("until"))
    .returning(jobs.c.id, jobs.c.cancel_requested_at)
)


def extend(connection: Connection, ids: Collection[UUID], until: datetime) -> dict[UUID, datetime | None]:
    """Extend the leases of those of `ids` that are running; return when each was asked to cancel, if it was.

    They are locked in the order of `hold`, so that neither waits for the other's end.
    """
    rows = connection.execute(_EXTEND, {"ids": list(ids), "until": until})
    return {row.id: row.cancel_requested_at for row in rows}


_ACCEPT = (
    update(jobs)
    .where(jobs.c.id == bindparam("the_id"), RUNNING)
    .values(provider=bindparam("the_provider"), provider_ref=bindparam("the_ref"), route=bindparam("the_route"))
)


def accept(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Save the backends' own ids of running jobs that the caller holds: `the_id`, `_provider`, `_ref`, `_route`."""
    connection.execute(_ACCEPT, list(rows))


_BEGIN = (
    update(jobs)
    .where(jobs.c.id == bindparam("the_id"), RUNNING)
    .values(
        provider=bindparam("the_provider"), route=bindparam("the_route"), sent_at=bindparam("the_time"),
        reserved=bindparam("the_money"), provider_ref=None,
    )
)  # fmt: skip


def begin(connection: Connection, row: Mapping[str, Any]) -> None:
    """A running job that the caller holds is about to be sent: `the_id`, `_provider`, `_route`, `_time`, `_money`."""
    connection.execute(_BEGIN, row)


def unsend(connection: Connection, job_id: UUID) -> None:
    """Nothing was sent for a running job that the caller holds."""
    nothing = {"sent_at": None, "reserved": None, "route": None, "provider": None}
    connection.execute(update(jobs).where(jobs.c.id == job_id, RUNNING).values(nothing))


def count_lost(connection: Connection, media_id: UUID) -> int:
    """How many jobs of a media were lost with their workers."""
    statement = select(func.count()).select_from(jobs)
    return connection.execute(statement.where(jobs.c.media_id == media_id, jobs.c.state == JobState.LOST)).scalar_one()


def is_taken(connection: Connection, provider: str, ref: str) -> bool:
    """Whether a job was accepted under a backend's reference."""
    statement = select(jobs.c.id).where(jobs.c.provider_ref == ref, jobs.c.provider == provider)
    return connection.execute(statement.limit(1)).first() is not None


_SENT = jobs.c.sent_at.isnot(None)


def cancel_queued(connection: Connection, job_id: UUID, at: datetime) -> bool:
    """Cancel a job that nobody has claimed, and that no backend may be at work on; False: it is none."""
    statement = update(jobs).where(jobs.c.id == job_id, QUEUED, jobs.c.provider_ref.is_(None), ~_SENT)
    return connection.execute(statement.values(state=JobState.CANCELLED, finished_at=at)).rowcount > 0


def request_cancel(connection: Connection, job_id: UUID, at: datetime) -> bool:
    """Ask the worker that has a job, or the next that gets it, to let go; False: it has ended.

    One that is queued to go on at a backend is due at once: somebody must tell the backend.
    """
    statement = update(jobs).where(jobs.c.id == job_id, or_(RUNNING, QUEUED))
    asked = func.coalesce(jobs.c.cancel_requested_at, bindparam(None, at, type_=jobs.c.run_at.type))
    due = case((QUEUED, bindparam(None, at, type_=jobs.c.run_at.type)), else_=jobs.c.run_at)
    return connection.execute(statement.values(cancel_requested_at=asked, run_at=due)).rowcount > 0


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


def _counted(*conditions: ColumnElement[bool]) -> Select[int]:
    few = select(jobs.c.id).where(QUEUED, jobs.c.lane == bindparam("the_lane"), *conditions)
    return select(func.count()).select_from(few.limit(bindparam("most")).subquery())


_COUNT_QUEUED = _counted()
_COUNT_DUE = _counted(jobs.c.run_at <= bindparam("now"))


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


def count(connection: Connection, lane: str, *, most: int) -> int:
    """How many jobs are queued in a lane, counted up to `most`."""
    return connection.execute(_COUNT_QUEUED, {"the_lane": lane, "most": most}).scalar_one()


def count_due(connection: Connection, lane: str, now: datetime, *, most: int) -> int:
    """How many jobs are due in a lane, counted up to `most`."""
    return connection.execute(_COUNT_DUE, {"the_lane": lane, "now": now, "most": most}).scalar_one()


def count_running(connection: Connection, *, most: int) -> dict[str, int]:
    """How many jobs are running in each lane that has some, of the first `most` of all."""
    first = select(jobs.c.lane).where(RUNNING).limit(most).subquery()
    rows = connection.execute(select(first.c.lane, func.count()).group_by(first.c.lane))
    return {row[0]: row[1] for row in rows}
