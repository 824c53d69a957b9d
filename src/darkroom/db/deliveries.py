"""Statements on `deliveries`: what webhooks are told, and what became of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    String,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from darkroom.db.rows import from_attempts, to_delivery
from darkroom.db.tables import PENDING, deliveries
from darkroom.media.model import Attempt, Delivery
from darkroom.media.states import DeliveryState

HOSTS = 64
"""Hosts that one look goes through,"""
LATEST = 64
"""and deliveries that became due last, whatever their hosts: if there are no more, it goes through no hosts."""

_earlier = deliveries.alias("earlier")
_EARLIER_PENDING = _earlier.c.state == DeliveryState.PENDING
_IS_FIRST = ~exists().where(
    _earlier.c.media_id == deliveries.c.media_id, _EARLIER_PENDING, _earlier.c.id < deliveries.c.id
)
_LATEST_DUE = (
    select(func.max(_earlier.c.due_at))
    .where(_earlier.c.media_id == bindparam("of_media", type_=deliveries.c.media_id.type), _EARLIER_PENDING)
    .scalar_subquery()
)
_DUE_AT = func.coalesce(_LATEST_DUE, bindparam("noted_at", type_=deliveries.c.created_at.type))
"""One that is noted while another of its media is put off need not be looked at before that."""


def add(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Note deliveries, each with `id`, `media_id`, `owner`, `event`, `url`, `host` and `created_at`."""
    fresh = {"state": DeliveryState.PENDING, "tries": 0, "claims": 0, "attempts": []}
    parameters = [{**row, **fresh, "of_media": row["media_id"], "noted_at": row["created_at"]} for row in rows]
    connection.execute(insert(deliveries).values(due_at=_DUE_AT), parameters)


def with_state(connection: Connection, media_ids: Collection[UUID], state: DeliveryState) -> set[UUID]:
    """Those of `media_ids` of which there is a delivery in `state`."""
    statement = select(deliveries.c.media_id).where(deliveries.c.media_id.in_(media_ids), deliveries.c.state == state)
    return set(connection.execute(statement).scalars())


def is_noted(connection: Connection, media_id: UUID, event: str, *, since: datetime) -> bool:
    """Whether an event of a media is still to be told, or was noted after `since`."""
    recent = or_(PENDING, deliveries.c.created_at > since)
    statement = select(deliveries.c.id).where(deliveries.c.media_id == media_id, deliveries.c.event == event, recent)
    return connection.execute(statement.limit(1)).first() is not None


def is_noted_after(connection: Connection, delivery: Delivery) -> bool:
    """Whether the same event of its media is to be told once more, by a later one."""
    same = (deliveries.c.media_id == delivery.media_id, deliveries.c.event == delivery.event)
    statement = select(deliveries.c.id).where(PENDING, *same, deliveries.c.id > delivery.id)
    return connection.execute(statement.limit(1)).first() is not None


def forget(connection: Connection, media_ids: Collection[UUID], event: str, now: datetime) -> None:
    """Drop what is still to be told of an event of media, unless someone is telling it."""
    of_it = and_(deliveries.c.media_id.in_(media_ids), deliveries.c.event == event)
    connection.execute(delete(deliveries).where(of_it, PENDING, _is_free(now)))


def _is_free(now: datetime) -> ColumnElement[bool]:
    return or_(deliveries.c.held_until.is_(None), deliveries.c.held_until <= now)


# Taking


@dataclass(frozen=True, slots=True)
class Hosts:
    """What a look found: hosts of which something is due, and the last it went through; empty: there are no more."""

    due: Sequence[str]
    last: str


def look(connection: Connection, now: datetime, *, after: str) -> Hosts:
    """Find hosts of which something is due that nobody has in hand, at a cost that does not grow with what there is.

    What became due last is found at once. If that is not all, hosts are gone through by name from the one after `after`
    on, at most `HOSTS` that have anything to be told: everyone's turn comes, whatever becomes due meanwhile.
    """
    latest = _latest_due(connection, now)
    hosts = Hosts((), "") if len(latest) < LATEST else _look_around(connection, now, after)
    return Hosts(list(dict.fromkeys((*hosts.due, *latest))), hosts.last)


def _latest_due(connection: Connection, now: datetime) -> Sequence[str]:
    """The hosts of the deliveries that became due last, the earliest of these first."""
    statement = select(deliveries.c.host).where(PENDING, deliveries.c.due_at <= now, _is_free(now), _IS_FIRST)
    return connection.execute(statement.order_by(deliveries.c.due_at.desc()).limit(LATEST)).scalars().all()[::-1]


def _look_around(connection: Connection, now: datetime, after: str) -> Hosts:
    """Go through hosts in steps of the index (a loose index scan): what else waits for a host costs nothing.

    Those of which something has been due longest come first.
    """
    ring = _hosts_after(after)
    first = select(deliveries.c.due_at).where(PENDING, deliveries.c.host == ring.c.host, _is_free(now), _IS_FIRST)
    soonest = first.order_by(deliveries.c.due_at).limit(1).scalar_subquery()
    rows = connection.execute(select(ring.c.host, soonest.label("soonest")).where(ring.c.host.isnot(None))).all()
    due = [(row.soonest, row.host) for row in rows if row.soonest is not None and row.soonest <= now]
    return Hosts([host for _, host in sorted(due)], max(row.host for row in rows) if len(rows) == HOSTS else "")


def _hosts_after(after: str) -> Any:
    """A recursive query for the names of hosts after `after`, in order; null after the last one."""
    following = select(func.min(deliveries.c.host)).where(PENDING)
    first = select(
        following.where(deliveries.c.host > literal(after, String)).scalar_subquery().label("host"),
        literal(1, Integer).label("number"),
    )
    ring = first.cte("ring", recursive=True)
    onwards = following.where(deliveries.c.host > ring.c.host).correlate(ring).scalar_subquery()
    step = select(onwards, ring.c.number + 1).where(ring.c.host.isnot(None), ring.c.number < HOSTS)
    return ring.union_all(step)


def claim(connection: Connection, room: Mapping[str, int], *, now: datetime, until: datetime) -> list[Delivery]:
    """Take due deliveries, at most so many of each host as `room` says; others may take them after `until`.

    None that waits for an earlier one of its media.
    """
    ids = [one for host, most in room.items() for one in _due(connection, host, now, most)]
    if not ids:
        return []
    taken = update(deliveries).where(deliveries.c.id.in_(ids))
    taken = taken.values(held_until=until, claims=deliveries.c.claims + 1)
    return _without_gone(connection, [to_delivery(row) for row in connection.execute(taken.returning(deliveries))], now)


def _without_gone(connection: Connection, taken: Sequence[Delivery], now: datetime) -> list[Delivery]:
    """Those of `taken` whose target did not answer 410 for their media while they were being noted."""
    fresh = {one.media_id for one in taken if one.claims == 1}
    gone = with_state(connection, fresh, DeliveryState.GONE) if fresh else set()
    ended = {one.id for one in taken if one.claims == 1 and one.media_id in gone}
    if ended:
        values = {"state": DeliveryState.GONE, "ended_at": now, "held_until": None}
        connection.execute(update(deliveries).where(deliveries.c.id.in_(ended)).values(values))
    return [one for one in taken if one.id not in ended]


def _due(connection: Connection, host: str, now: datetime, most: int) -> Sequence[UUID]:
    statement = (
        select(deliveries.c.id)
        .where(PENDING, deliveries.c.host == host, deliveries.c.due_at <= now, _is_free(now), _IS_FIRST)
        .order_by(deliveries.c.due_at)
        .limit(most)
        .with_for_update(skip_locked=True, of=deliveries)
    )
    return connection.execute(statement).scalars().all()


# What came of it


def _mine(delivery: Delivery) -> ColumnElement[bool]:
    """The fence: whoever took a delivery later has counted another claim."""
    return and_(deliveries.c.id == delivery.id, PENDING, deliveries.c.claims == delivery.claims)


def hold(connection: Connection, media_id: UUID) -> None:
    """Lock what is to be told of a media, always in the same order."""
    statement = select(deliveries.c.id).where(deliveries.c.media_id == media_id, PENDING)
    connection.execute(statement.order_by(deliveries.c.id).with_for_update()).all()


def end(
    connection: Connection, delivery: Delivery, state: DeliveryState, attempts: Sequence[Attempt], at: datetime
) -> bool:
    """End a delivery that is held; the next one of its media is due at once. False: it is not held any more."""
    hold(connection, delivery.media_id)
    values = {"state": state, "attempts": from_attempts(attempts), "tries": delivery.tries + 1, "ended_at": at}
    if connection.execute(update(deliveries).where(_mine(delivery)).values(values)).rowcount == 0:
        return False
    if state is DeliveryState.GONE:
        of_media = and_(deliveries.c.media_id == delivery.media_id, PENDING)
        connection.execute(update(deliveries).where(of_media).values(state=state, ended_at=at))
        return True
    _let_next(connection, delivery.media_id, at)
    return True


def drop(connection: Connection, delivery: Delivery, at: datetime) -> bool:
    """Forget one that is held; the next one of its media is due at once. False: it is not held any more."""
    hold(connection, delivery.media_id)
    if connection.execute(delete(deliveries).where(_mine(delivery))).rowcount == 0:
        return False
    _let_next(connection, delivery.media_id, at)
    return True


def _let_next(connection: Connection, media_id: UUID, at: datetime) -> None:
    of_media = and_(deliveries.c.media_id == media_id, PENDING)
    following = select(deliveries.c.id).where(of_media).order_by(deliveries.c.id).limit(1).scalar_subquery()
    connection.execute(update(deliveries).where(deliveries.c.id == following).values(due_at=at))


def put_off(
    connection: Connection, delivery: Delivery, attempts: Sequence[Attempt], *, tries: int, until: datetime
) -> bool:
    """Have one that is held tried again, and those of its media that wait for it later too. False: it is not held.

    `tries`: those that count, with this one if it does.
    """
    hold(connection, delivery.media_id)
    values = {"due_at": until, "held_until": None, "tries": tries, "attempts": from_attempts(attempts)}
    if connection.execute(update(deliveries).where(_mine(delivery)).values(values)).rowcount == 0:
        return False
    waiting = and_(deliveries.c.media_id == delivery.media_id, PENDING, deliveries.c.due_at < until)
    connection.execute(update(deliveries).where(waiting).values(due_at=until))
    return True


def give_back(connection: Connection, held: Sequence[Delivery]) -> None:
    """Have deliveries that were taken and not sent taken by somebody else, at once."""
    for delivery in held:
        connection.execute(update(deliveries).where(_mine(delivery)).values(held_until=None))


def send_again(connection: Connection, delivery_id: UUID, at: datetime) -> Delivery | None:
    """Have one sent once more, with all its tries, whatever became of it. None: there is none.

    Those of its media that come before it are due as well: it waits for them.
    """
    media_id = connection.execute(select(deliveries.c.media_id).where(deliveries.c.id == delivery_id)).scalar()
    if media_id is None:
        return None
    hold(connection, media_id)
    before = and_(deliveries.c.media_id == media_id, PENDING, deliveries.c.id < delivery_id)
    connection.execute(update(deliveries).where(before).values(due_at=at))
    values = {
        "state": DeliveryState.PENDING, "tries": 0, "due_at": at, "ended_at": None, "held_until": None,
        "claims": deliveries.c.claims + 1,
    }  # fmt: skip
    statement = update(deliveries).where(deliveries.c.id == delivery_id).values(values)
    row = connection.execute(statement.returning(deliveries)).one_or_none()
    return to_delivery(row) if row else None


# For those who look into it


def get(connection: Connection, delivery_id: UUID) -> Delivery | None:
    """The one of that id."""
    row = connection.execute(select(deliveries).where(deliveries.c.id == delivery_id)).one_or_none()
    return to_delivery(row) if row else None


def page(
    connection: Connection,
    owner: str,
    *,
    media_id: UUID | None,
    state: DeliveryState | None,
    before: UUID | None,
    limit: int,
) -> list[Delivery]:
    """An owner's deliveries with ids below `before`, the newest first; of one media all are of one owner."""
    # With both, SQLite would look through all of the owner's instead of the media's few.
    wanted = [deliveries.c.owner == owner] if media_id is None else [deliveries.c.media_id == media_id]
    if state is not None:
        wanted.append(deliveries.c.state == state)
    if before is not None:
        wanted.append(deliveries.c.id < before)
    statement = select(deliveries).where(*wanted).order_by(deliveries.c.id.desc()).limit(limit)
    return [found for row in connection.execute(statement) if (found := to_delivery(row)).owner == owner]


def count_pending(connection: Connection, *, most: int) -> int:
    """How many are still to be told, counted up to `most`."""
    some = select(deliveries.c.id).where(PENDING).limit(most).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()
