"""Statements that take due jobs: the highest priority first, then a job of each owner in turn, an owner's oldest first.

The owners with queued jobs of one priority form a ring, in the order of the index. It is walked in steps of the index
(a loose index scan), a few owners at a time: no claim looks through the queue itself, however long it is.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    Subquery,
    and_,
    bindparam,
    case,
    exists,
    literal,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from darkroom.db.rows import to_job
from darkroom.db.tables import QUEUED, jobs, lanes
from darkroom.media.model import Job
from darkroom.media.states import JobState

RING = 16
"""Owners that one look finds, and that one statement takes jobs of."""

Turns = Mapping[int, str]
"""By priority, the owner who was served last: where to go on. A hint; without it the ring begins anew."""

_THE_LANE: BindParameter[str] = bindparam("the_lane")
_THE_PRIORITY: BindParameter[int] = bindparam("the_priority")
_NOW: BindParameter[datetime] = bindparam("now")
_AFTER: BindParameter[str] = bindparam("after", type_=jobs.c.owner.type)
_QUEUED_HERE = and_(QUEUED, jobs.c.lane == _THE_LANE)
_DUE = and_(jobs.c.priority == _THE_PRIORITY, jobs.c.run_at <= _NOW)
_NOT_PAUSED = ~exists().where(lanes.c.name == _THE_LANE, lanes.c.paused_at.isnot(None))


@dataclass(frozen=True, slots=True)
class Lease:
    """From which lane jobs are taken, by whom, when and until when."""

    lane: str
    worker: str
    now: datetime
    until: datetime


def claim(connection: Connection, lease: Lease, most: int, turns: Turns) -> list[Job]:
    """Take at most `most` due jobs, in the order in which they are to be served; none of a lane that is paused."""
    taken: list[Job] = []
    for priority in _priorities(connection, lease.lane):
        taken += _claim_at(connection, lease, priority, most - len(taken), turns.get(priority, ""))
        if len(taken) == most:
            break
    return taken


def claim_only(connection: Connection, lease: Lease, media_id: UUID) -> list[Job]:
    """Take the due job of a media, out of turn; none of a lane that is paused."""
    return _taken(connection, _CLAIM_ONLY, lease, {"only": media_id})


def is_due(connection: Connection, lane: str, now: datetime) -> bool:
    """Whether a claim would find a job in a lane."""
    return any(_ring(connection, lane, priority, now, "", 1) for priority in _priorities(connection, lane))


def _claim_at(connection: Connection, lease: Lease, priority: int, most: int, after: str) -> list[Job]:
    """Go round the ring, from the owner that follows `after`."""
    taken: list[Job] = []
    while len(taken) < most:
        left = most - len(taken)
        owners = _ring(connection, lease.lane, priority, lease.now, after, RING)
        if len(owners) < RING:
            return taken + _share_out(connection, lease, priority, owners, left)
        served = _one_each(connection, lease, priority, owners, left)
        if not served:
            break
        taken += served
        after = owners[-1]
    return taken


def _one_each(connection: Connection, lease: Lease, priority: int, owners: Sequence[str], most: int) -> list[Job]:
    """Take a job of each of the first `most` owners; where others are just taking all of these, of the next."""
    for first in range(0, len(owners), most):
        served = _take(connection, lease, priority, dict.fromkeys(owners[first : first + most], 1))
        if served:
            return served
    return []


def _share_out(
    connection: Connection, lease: Lease, priority: int, owners: Sequence[str], most: int
) -> list[Job]:  # fmt: skip
    """Take jobs of all `owners` of the ring in equal shares, until they have no more."""
    taken: list[Job] = []
    while owners and len(taken) < most:
        each, rest = divmod(most - len(taken), len(owners))
        shares = {owner: each + (place < rest) for place, owner in enumerate(owners)}
        served = _take(connection, lease, priority, {owner: share for owner, share in shares.items() if share})
        taken += served
        got = Counter(job.owner for job in served)
        owners = [owner for owner in owners if got[owner] == shares[owner]]
    return taken


def _take(connection: Connection, lease: Lease, priority: int, shares: Mapping[str, int]) -> list[Job]:
    values: dict[str, Any] = {"the_priority": priority}
    for place, (owner, share) in enumerate(shares.items()):
        values |= {f"owner_{place}": owner, f"share_{place}": share}
    return _in_turns(_taken(connection, _claim_of(len(shares)), lease, values), tuple(shares))


def _in_turns(taken: list[Job], owners: Sequence[str]) -> list[Job]:
    """The first job of each owner, then the second of each, and so on."""
    rounds: Counter[str] = Counter()
    ordered: list[tuple[int, int, Job]] = []
    places = {owner: place for place, owner in enumerate(owners)}
    for job in sorted(taken, key=lambda it: (it.run_at, it.id)):
        ordered.append((rounds[job.owner], places[job.owner], job))
        rounds[job.owner] += 1
    return [job for _, _, job in sorted(ordered, key=lambda it: it[:2])]


def _taken(
    connection: Connection, statement: ReturningUpdate[*tuple[Any, ...]], lease: Lease, values: Mapping[str, Any]
) -> list[Job]:
    whose = {"the_lane": lease.lane, "the_worker": lease.worker, "now": lease.now, "lease_until": lease.until}
    return [to_job(row) for row in connection.execute(statement, {**whose, **values})]


def _claim(best: Select[UUID] | Any) -> ReturningUpdate[*tuple[Any, ...]]:
    """Take the jobs with the ids that `best` selects. They are selected once, whatever the planner thinks of it."""
    ids = best.cte("best").prefix_with("MATERIALIZED", dialect="postgresql")
    claimed = update(jobs).where(jobs.c.id.in_(select(ids.c.id))).values(state=JobState.RUNNING)
    return claimed.values(
        worker=bindparam("the_worker"), lease_expires_at=bindparam("lease_until"), started_at=_NOW
    ).returning(jobs)


@lru_cache(RING)
def _claim_of(owners: int) -> ReturningUpdate[*tuple[Any, ...]]:
    """Takes jobs of so many owners: at most `share_0` of `owner_0`, and so on."""
    parts = [select(_oldest(place).c.id) for place in range(owners)]
    return _claim(union_all(*parts) if len(parts) > 1 else parts[0])


def _oldest(place: int) -> Subquery:
    theirs = select(jobs.c.id).where(_QUEUED_HERE, _DUE, jobs.c.owner == bindparam(f"owner_{place}"))
    oldest = theirs.order_by(jobs.c.run_at, jobs.c.id).limit(bindparam(f"share_{place}"))
    return oldest.with_for_update(skip_locked=True).subquery(f"turn_{place}")


_CLAIM_ONLY = _claim(
    select(jobs.c.id)
    .where(_QUEUED_HERE, jobs.c.media_id == bindparam("only"), jobs.c.run_at <= _NOW, _NOT_PAUSED)
    .with_for_update(skip_locked=True)
)


# Steps in the index


def _priorities(connection: Connection, lane: str) -> Sequence[int]:
    """The priorities of queued jobs, highest first; none if the lane is paused."""
    return connection.execute(_PRIORITIES, {"the_lane": lane}).scalars().all()


def _ring(connection: Connection, lane: str, priority: int, now: datetime, after: str, most: int) -> Sequence[str]:
    """At most `most` owners with due jobs of a priority, each once, from the one that follows `after`."""
    place = {"the_lane": lane, "the_priority": priority, "now": now, "after": after, "most": most}
    return connection.execute(_RING, place).scalars().all()


def _first(column: ColumnElement[Any], order: ColumnElement[Any], *conditions: ColumnElement[bool]) -> Any:
    return select(column).where(_QUEUED_HERE, *conditions).order_by(order).limit(1).scalar_subquery()


def _walk_priorities() -> Select[int]:
    down = jobs.c.priority.desc()
    walk = select(_first(jobs.c.priority, down).label("priority")).cte("walk", recursive=True)
    lower = _first(jobs.c.priority, down, jobs.c.priority < walk.c.priority)
    walk = walk.union_all(select(lower).where(walk.c.priority.isnot(None)))
    return select(walk.c.priority).where(walk.c.priority.isnot(None), _NOT_PAUSED)


def _walk_ring() -> Select[str]:
    """The owners in the order of the index: first those after `after` (lap 1), then the others (lap 2).

    Between the laps comes a row without an owner. Rows are made one by one, and no more than the limit needs.
    """
    here = jobs.c.priority == _THE_PRIORITY
    walk = select(_AFTER.label("owner"), literal(0).label("lap")).cte("walk", recursive=True)
    last, lap = walk.c.owner, walk.c.lap
    first = _first(jobs.c.owner, jobs.c.owner, here)
    following = _first(jobs.c.owner, jobs.c.owner, here, jobs.c.owner > last)
    turns = last.is_(None)  # the second lap begins
    step = select(case((turns, first), else_=following), case((or_(turns, lap == 2), 2), else_=1))
    ring = walk.union_all(step.where(or_(lap < 2, last < _AFTER)))
    due = _first(jobs.c.run_at, jobs.c.run_at, _DUE, jobs.c.owner == ring.c.owner)
    passed = or_(ring.c.lap == 1, and_(ring.c.lap == 2, ring.c.owner <= _AFTER))
    has_due = due.isnot(None)  # an EXISTS may be planned as a join, which reads the whole queue
    return select(ring.c.owner).where(passed, has_due).limit(bindparam("most"))


_PRIORITIES = _walk_priorities()
_RING = _walk_ring()
