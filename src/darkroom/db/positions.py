"""Where a queued job stands. Nothing here looks at more than some thousand steps of the index."""

from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    func,
    literal,
    or_,
    select,
)

from darkroom.db.tables import QUEUED, jobs

DEEPEST = 1000

_QUEUED_JOB = select(jobs.c.lane, jobs.c.priority, jobs.c.owner, jobs.c.run_at).where(
    jobs.c.id == bindparam("the_id"), QUEUED
)
_IN_LANE = and_(QUEUED, jobs.c.lane == bindparam("the_lane"))
_BESIDE = and_(_IN_LANE, jobs.c.priority == bindparam("the_priority"))


def position(connection: Connection, job_id: UUID) -> int | None:
    """At most how many queued jobs of its lane go before this one, counted up to 1,000; None: it is not queued.

    Those are the jobs of a higher priority, the earlier ones of its owner, and, as owners are served in turn, as many
    of each other owner as this job has turns to wait for.
    """
    job = connection.execute(_QUEUED_JOB, {"the_id": job_id}).one_or_none()
    if job is None:
        return None
    place = {
        "the_lane": job.lane, "the_priority": job.priority, "the_owner": job.owner,
        "the_time": job.run_at, "the_id": job_id,
    }  # fmt: skip
    higher, own = connection.execute(_BEFORE, place).one()
    if higher + own >= DEEPEST:
        return DEEPEST
    others = connection.execute(_OTHERS, place | {"turns": own + 1}).scalar_one()
    return min(DEEPEST, higher + own + others)


def _counted(few: Select[Any], most: int | ColumnElement[int] = DEEPEST) -> ScalarSelect[int]:
    return select(func.count()).select_from(few.limit(most).subquery()).scalar_subquery()


def _before() -> Select[int, int]:
    earlier = or_(
        jobs.c.run_at < bindparam("the_time"),
        and_(jobs.c.run_at == bindparam("the_time"), jobs.c.id < bindparam("the_id")),
    )
    higher = select(jobs.c.id).where(_IN_LANE, jobs.c.priority > bindparam("the_priority"))
    own = select(jobs.c.id).where(_BESIDE, jobs.c.owner == bindparam("the_owner"), earlier)
    return select(_counted(higher), _counted(own))


def _others() -> Select[int]:
    """How many jobs other owners have, of each at most `turns`: owner by owner in steps, until there are enough."""
    first = select(jobs.c.owner).where(_BESIDE).order_by(jobs.c.owner).limit(1)
    start = select(first.scalar_subquery().label("owner"), literal(0, BigInteger).label("sum"))
    walk = start.cte("walk", recursive=True)
    following = first.where(jobs.c.owner > walk.c.owner).scalar_subquery()
    theirs = select(jobs.c.id).where(_BESIDE, jobs.c.owner == walk.c.owner, jobs.c.owner != bindparam("the_owner"))
    count = _counted(theirs.correlate(walk), bindparam("turns"))
    step = select(following, walk.c.sum + count)
    walk = walk.union_all(step.where(walk.c.owner.isnot(None), walk.c.sum < DEEPEST))
    return select(func.max(walk.c.sum))


_BEFORE = _before()
_OTHERS = _others()
