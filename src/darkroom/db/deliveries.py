"""Statements on `deliveries`: what webhooks are told, and what became of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, exists, func, insert, or_, select, update

from darkroom.db.rows import AnyRow, from_attempts, to_delivery
from darkroom.db.tables import PENDING, deliveries
from darkroom.media.model import Attempt, Delivery
from darkroom.media.states import DeliveryState

LOOKED_AT = 200
"""Due rows that one look sees, to find some for hosts that have room."""

_earlier = deliveries.alias("earlier")
_IS_FIRST = ~exists().where(
    _earlier.c.media_id == deliveries.c.media_id,
    _earlier.c.state == DeliveryState.PENDING,
    _earlier.c.id < deliveries.c.id,
)
_LATEST_DUE = (
    select(func.max(_earlier.c.due_at))
    .where(
        _earlier.c.media_id == bindparam("of_media", type_=deliveries.c.media_id.type),
        _earlier.c.state == DeliveryState.PENDING,
    )
    .scalar_subquery()
)
_DUE_AT = func.coalesce(_LATEST_DUE, bindparam("noted_at", type_=deliveries.c.created_at.type))
"""One that is noted while another of its media is put off need not be looked at before that."""


def add(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Note deliveries, each with `id`, `media_id`, `owner`, `event`, `url`, `host` and `created_at`."""
    fresh = {"state": DeliveryState.PENDING, "tries": 0, "attempts": []}
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


def forget_untried(connection: Connection, media_ids: Collection[UUID], event: str) -> None:
    """Drop what is still to be told of an event of media, unless someone is about to."""
    of_it = and_(deliveries.c.media_id.in_(media_ids), deliveries.c.event == event)
    connection.execute(delete(deliveries).where(of_it, PENDING, deliveries.c.tries == 0))


@dataclass(frozen=True, slots=True)
class Room:
    """What a courier can take: `most` deliveries, `each` to a host less those that are under way, by host."""

    most: int
    each: int
    under_way: Mapping[str, int]


def any_due(connection: Connection, now: datetime) -> bool:
    """Whether a claim might find one."""
    return (
        connection.execute(select(deliveries.c.id).where(PENDING, deliveries.c.due_at <= now).limit(1)).first()
        is not None
    )


def claim(connection: Connection, room: Room, *, now: datetime, until: datetime) -> list[Delivery]:
    """Take due deliveries, none that waits for an earlier one of its media; others may take them after `until`."""
    full = [host for host, busy in room.under_way.items() if busy >= room.each]
    due = (
        select(deliveries.c.id, deliveries.c.host)
        .where(PENDING, deliveries.c.due_at <= now, deliveries.c.host.notin_(full), _IS_FIRST)
        .order_by(deliveries.c.due_at)
        .limit(LOOKED_AT)
        .with_for_update(skip_locked=True, of=deliveries)
    )
    ids = _that_fit(connection.execute(due).all(), room)
    if not ids:
        return []
    taken = update(deliveries).where(deliveries.c.id.in_(ids))
    taken = taken.values(due_at=until, tries=deliveries.c.tries + 1)
    return [to_delivery(row) for row in connection.execute(taken.returning(deliveries))]


def _that_fit(due: Sequence[AnyRow], room: Room) -> list[UUID]:
    busy, ids = dict(room.under_way), list[UUID]()
    for row in due:
        if len(ids) < room.most and busy.get(row.host, 0) < room.each:
            busy[row.host] = busy.get(row.host, 0) + 1
            ids.append(row.id)
    return ids


def _mine(delivery: Delivery) -> ColumnElement[bool]:
    """The fence: whoever took a delivery later has counted another try."""
    return and_(deliveries.c.id == delivery.id, PENDING, deliveries.c.tries == delivery.tries)


def end(
    connection: Connection, delivery: Delivery, state: DeliveryState, attempts: Sequence[Attempt], at: datetime
) -> bool:
    """End a delivery that is held; the next one of its media is due at once. False: it is not held any more."""
    values = {"state": state, "attempts": from_attempts(attempts), "ended_at": at}
    if connection.execute(update(deliveries).where(_mine(delivery)).values(values)).rowcount == 0:
        return False
    of_media = and_(deliveries.c.media_id == delivery.media_id, PENDING)
    if state is DeliveryState.GONE:
        connection.execute(update(deliveries).where(of_media).values(state=state, ended_at=at))
        return True
    following = select(deliveries.c.id).where(of_media).order_by(deliveries.c.id).limit(1).scalar_subquery()
    connection.execute(update(deliveries).where(deliveries.c.id == following).values(due_at=at))
    return True


def put_off(connection: Connection, delivery: Delivery, attempts: Sequence[Attempt], until: datetime) -> bool:
    """Have one that is held tried again, and those of its media that wait for it later too. False: it is not held."""
    values = {"due_at": until, "attempts": from_attempts(attempts)}
    if connection.execute(update(deliveries).where(_mine(delivery)).values(values)).rowcount == 0:
        return False
    waiting = and_(deliveries.c.media_id == delivery.media_id, PENDING, deliveries.c.due_at < until)
    connection.execute(update(deliveries).where(waiting).values(due_at=until))
    return True


def give_back(connection: Connection, ids: Collection[UUID], at: datetime) -> None:
    """Have deliveries that were taken and not sent taken by somebody else, at once."""
    connection.execute(update(deliveries).where(deliveries.c.id.in_(ids), PENDING).values(due_at=at))


def send_again(connection: Connection, delivery_id: UUID, at: datetime) -> Delivery | None:
    """Have one sent once more, with all its tries, whatever became of it. None: there is none."""
    values = {"state": DeliveryState.PENDING, "tries": 0, "due_at": at, "ended_at": None}
    statement = update(deliveries).where(deliveries.c.id == delivery_id).values(values)
    row = connection.execute(statement.returning(deliveries)).one_or_none()
    return to_delivery(row) if row else None


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
    """An owner's deliveries with ids below `before`, the newest first."""
    wanted: list[ColumnElement[bool]] = [deliveries.c.owner == owner]
    if media_id is not None:
        wanted.append(deliveries.c.media_id == media_id)
    if state is not None:
        wanted.append(deliveries.c.state == state)
    if before is not None:
        wanted.append(deliveries.c.id < before)
    statement = select(deliveries).where(*wanted).order_by(deliveries.c.id.desc()).limit(limit)
    return [to_delivery(row) for row in connection.execute(statement)]


def count_pending(connection: Connection, *, most: int) -> int:
    """How many are still to be told, counted up to `most`."""
    some = select(deliveries.c.id).where(PENDING).limit(most).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()
