"""Statements that count what waits and runs, each with a bound: for those who watch the service, now and then."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, case, func, select

from darkroom.db.tables import QUEUED, jobs, trash


@dataclass(frozen=True, slots=True)
class Queue:
    """The queued jobs of a lane: those that are due, since when the oldest of them is, and those for later."""

    due: int
    oldest: datetime | None
    later: int


_QUEUED = (
    select(jobs.c.run_at)
    .where(QUEUED, jobs.c.lane == bindparam("the_lane"))
    .order_by(jobs.c.priority.desc(), jobs.c.owner, jobs.c.run_at)  # as the index has them: no others are looked at
    .limit(bindparam("most"))
    .subquery()
)
_IS_DUE = case((_QUEUED.c.run_at <= bindparam("now"), 1))
_QUEUE = select(func.count(), func.count(_IS_DUE), func.min(_QUEUED.c.run_at)).select_from(_QUEUED)
_TRASH = select(func.count()).select_from(select(trash.c.prefix).limit(bindparam("most")).subquery())


def queue(connection: Connection, lane: str, now: datetime, *, most: int) -> Queue:
    """The queued jobs of a lane at `now`, of the first `most` by priority."""
    every, due, oldest = connection.execute(_QUEUE, {"the_lane": lane, "now": now, "most": most}).one()
    return Queue(due, oldest if due else None, every - due)


def trash_waiting(connection: Connection, *, most: int) -> int:
    """How many prefixes are to be cleared, counted up to `most`."""
    return connection.execute(_TRASH, {"most": most}).scalar_one()
