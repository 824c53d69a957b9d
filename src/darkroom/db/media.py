"""Statements on `media` and `tags`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Update,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from darkroom.db import files
from darkroom.db.positions import position as queue_position
from darkroom.db.rows import AnyRow, to_media, to_webhook
from darkroom.db.tables import PENDING, deliveries, jobs, media, tags
from darkroom.media.ids import first_id_at
from darkroom.media.model import Media, Webhook
from darkroom.media.states import ENDED, LEGAL, RETRYABLE, IllegalMove, Status, sources

LOOKED_AT = 10_000
"""Rows, at most, that a search for a repeated request looks at."""


def add(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert media, each a row of the table; its words and tags are made findable."""
    connection.execute(insert(media), [{**row, "words": folded(row["prompt"])} for row in rows])
    labels = [{"tag": tag, "media_id": row["id"]} for row in rows for tag in row["tags"]]
    if labels:
        connection.execute(insert(tags), labels)


def folded(prompt: str) -> str:
    """The distinct words of a prompt, case folded, each between spaces: what `q` looks in."""
    return f" {' '.join(dict.fromkeys(prompt.casefold().split()))} "


def hold(connection: Connection, ids: Sequence[UUID]) -> None:
    """Lock the live or last job of each media: until the transaction ends nobody else moves these media.

    While a job's lock is waited for, another job may follow it: then that one is locked as well.
    """
    locked: set[UUID] = set()
    while True:
        live = set(connection.execute(select(media.c.job_id).where(media.c.id.in_(ids))).scalars())
        if live <= locked:
            return
        connection.execute(select(jobs.c.id).where(jobs.c.id.in_(live)).order_by(jobs.c.id).with_for_update()).all()
        locked |= live


def _legal(to: Status) -> ColumnElement[bool]:
    return or_(*(media.c.status == now for now in sorted(sources(LEGAL, to))))  # IN does not go with executemany


def _move(to: Status) -> Update:
    return update(media).where(_legal(to)).values(status=to)


@lru_cache
def _advance(to: Status, changed: tuple[str, ...], counts: bool) -> Update:
    values: dict[str, Any] = {name: bindparam(f"new_{name}", type_=media.c[name].type) for name in changed}
    if counts:
        values["number_of_tries"] = media.c.number_of_tries + 1
    return _move(to).where(media.c.id == bindparam("the_id")).values(values)


def advance(connection: Connection, to: Status, rows: Sequence[Mapping[str, Any]], *, counts: bool = False) -> None:
    """Move media to `to`: each of `rows` holds `id`, `updated_at` and what else changes, all the same columns.

    Only legal moves are made. The caller holds the live job of each, which is what makes them all legal;
    raises `IllegalMove` if one is not. `counts`: a try is counted.
    """
    changed = tuple(name for name in rows[0] if name != "id")
    values = [{"the_id": row["id"], **{f"new_{name}": row[name] for name in changed}} for row in rows]
    if len(rows) == 1:
        moved = connection.execute(_advance(to, changed, counts), values[0]).rowcount
    else:  # PostgreSQL does not count the rows that an executemany changed
        moved = connection.execute(_movable(to), {"ids": [row["id"] for row in rows]}).scalar_one()
        connection.execute(_advance(to, changed, counts), values)
    if moved != len(rows):
        raise IllegalMove(f"not all of these media may become {to}: {', '.join(str(row['id']) for row in rows)}")


@lru_cache
def _movable(to: Status) -> Select[int]:
    ids = bindparam("ids", type_=media.c.id.type, expanding=True)
    return select(func.count()).select_from(media).where(media.c.id.in_(ids), _legal(to))


_START = (
    _move(Status.PROCESSING)
    .where(media.c.id.in_(bindparam("ids", expanding=True)))
    .values(
        updated_at=bindparam("at"),
        started_at=func.coalesce(media.c.started_at, bindparam("at")),
        next_run=None,
        progress=None,
    )
    .returning(media)
)


def start(connection: Connection, ids: Sequence[UUID], at: datetime) -> dict[UUID, Media]:
    """Move media to PROCESSING; return them by id. Raises `IllegalMove` if one is not in the queue."""
    started = {row.id: to_media(row) for row in connection.execute(_START, {"ids": ids, "at": at})}
    if len(started) != len(ids):
        raise IllegalMove(f"claimed, but not in the queue: {', '.join(str(it) for it in ids if it not in started)}")
    return started


def reopen(connection: Connection, media_id: UUID, *, job_id: UUID, at: datetime) -> bool:
    """Move an ended media back into the queue under a new job, its tries forgotten; False: not legal now."""
    statement = (
        _move(Status.IN_QUEUE)
        .where(media.c.id == media_id, media.c.status.in_(RETRYABLE))
        .values(
            job_id=job_id, updated_at=at, next_run=at, number_of_tries=0,
            error=None, progress=None, started_at=None, completed_at=None,
        )
    )  # fmt: skip
    return connection.execute(statement).rowcount > 0


def set_progress(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Save how far media are whose running jobs the caller holds: `rows` hold `the_id`, `progress`, `updated_at`."""
    connection.execute(update(media).where(media.c.id == bindparam("the_id")), list(rows))


def remove(connection: Connection, media_id: UUID) -> bool:
    """Delete a media that the caller holds, with all that hangs on it; False: there is none."""
    return connection.execute(delete(media).where(media.c.id == media_id)).rowcount > 0


def find_keys(connection: Connection, keys: Sequence[tuple[str | None, str]]) -> dict[tuple[str | None, str], AnyRow]:
    """The media accepted under these idempotency keys: (owner, key) -> id, fingerprint."""
    columns = (media.c.owner, media.c.idempotency_key, media.c.id, media.c.fingerprint)
    found: dict[tuple[str | None, str], AnyRow] = {}
    for owner in {owner for owner, _ in keys}:  # each kind of owner has a partial index of its own
        theirs = media.c.owner == owner if owner is not None else media.c.owner.is_(None)
        asked = [key for whose, key in keys if whose == owner]
        rows = connection.execute(select(*columns).where(theirs, media.c.idempotency_key.in_(asked)))
        found |= {(row.owner, row.idempotency_key): row for row in rows}
    return found


def find_repeated(
    connection: Connection, owner: str | None, fingerprint: str, *, since: UUID, ended_after: datetime
) -> UUID | None:
    """The newest media of that content without a key, unless it ended earlier. Looks at an owner's latest only."""
    columns = (media.c.id, media.c.fingerprint, media.c.idempotency_key, media.c.status, media.c.updated_at)
    latest = (
        select(*columns)
        .where(media.c.owner == owner, media.c.id >= since)  # None becomes IS NULL
        .order_by(media.c.id.desc())
        .limit(LOOKED_AT)
        .subquery()
    )
    going_on = latest.c.status.notin_(ENDED) | (latest.c.updated_at >= ended_after)
    same = (latest.c.fingerprint == fingerprint, latest.c.idempotency_key.is_(None))
    return connection.execute(select(latest.c.id).where(*same, going_on).order_by(latest.c.id.desc())).scalar()


def leave(connection: Connection, media_id: UUID, at: datetime) -> None:
    """Note that the caller who waited for it went away without it."""
    connection.execute(update(media).where(media.c.id == media_id).values(left_at=at))


def find_left(
    connection: Connection, owner: str | None, fingerprint: str, *, left_after: datetime, ended_after: datetime
) -> UUID | None:
    """The newest media of that content without a key whose caller went away lately.

    It is under way, or was completed after `ended_after`: what failed or was cancelled is made anew.
    """
    is_fresh = (media.c.status == Status.COMPLETED) & (media.c.updated_at >= ended_after)
    going_on = media.c.status.notin_(ENDED) | is_fresh
    same = (media.c.owner == owner, media.c.fingerprint == fingerprint, media.c.idempotency_key.is_(None))
    statement = select(media.c.id).where(media.c.left_at >= left_after, *same, going_on)
    return connection.execute(statement.order_by(media.c.id.desc()).limit(1)).scalar()


def take_over(connection: Connection, media_id: UUID) -> bool:
    """Give one that was left to a new caller, and to no other; False: another was faster."""
    left = (media.c.id == media_id, media.c.left_at.isnot(None))
    return connection.execute(update(media).where(*left).values(left_at=None)).rowcount > 0


_GET = select(media).where(media.c.id == bindparam("the_id"))
_AMONG = media.c.id.in_(bindparam("ids", expanding=True))
_SOME = select(media).where(_AMONG).order_by(media.c.id.desc())
_STAMPS = select(media.c.id, media.c.updated_at).where(_AMONG)
_BRIEF = (
    select(media.c.job_id, media.c.id, media.c.status, media.c.progress)
    .join(jobs, jobs.c.media_id == media.c.id)
    .where(jobs.c.id == bindparam("the_job"))
)


def get(connection: Connection, media_id: UUID, *, with_files: bool = True) -> Media | None:
    """A media, with its files unless nobody will look at them."""
    row = connection.execute(_GET, {"the_id": media_id}).one_or_none()
    if row is None:
        return None
    has_files = with_files and row.status == Status.COMPLETED
    return to_media(row, files.of_media(connection, [media_id]).get(media_id, ()) if has_files else ())


def some(connection: Connection, ids: Sequence[UUID]) -> tuple[Media, ...]:
    """Those of `ids` that exist, with their files, newest first."""
    if not ids:
        return ()
    rows = connection.execute(_SOME, {"ids": ids}).all()
    pictures = files.of_media(connection, ids)
    return tuple(to_media(row, pictures.get(row.id, ())) for row in rows)


def stamps(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """When each of `ids` that exists was updated last."""
    return {row.id: row.updated_at for row in connection.execute(_STAMPS, {"ids": ids})}


def id_of_job(connection: Connection, job_id: UUID) -> UUID | None:
    """The media that a job, any of its history, belongs to."""
    return connection.execute(select(jobs.c.media_id).where(jobs.c.id == job_id)).scalar()


@dataclass(frozen=True, slots=True)
class Brief:
    """What a poller wants to know, from one row."""

    job_id: UUID
    media_id: UUID
    status: Status
    progress: Mapping[str, int] | None
    queue_position: int | None


def brief(connection: Connection, job_id: UUID) -> Brief | None:
    """The status of the media that a job, any of its history, belongs to."""
    row = connection.execute(_BRIEF, {"the_job": job_id}).one_or_none()
    if row is None:
        return None
    position = queue_position(connection, row.job_id) if row.status is Status.IN_QUEUE else None
    return Brief(row.job_id, row.id, row.status, row.progress, position)


def live_job(connection: Connection, media_id: UUID) -> AnyRow | None:
    """`job_id` and `status` of a media."""
    return connection.execute(select(media.c.job_id, media.c.status).where(media.c.id == media_id)).one_or_none()


@dataclass(frozen=True, slots=True)
class Standing:
    """What decides on how a media goes on: how many tries counted, how many it has; and whom to tell."""

    tries: int
    max_tries: int
    model: str
    webhook: Webhook | None


_STANDING = select(media.c.number_of_tries, media.c.max_tries, media.c.model, media.c.webhook).where(
    media.c.id == bindparam("the_id")
)


def standing(connection: Connection, media_id: UUID) -> Standing:
    """How a media stands, which must be there."""
    tries, most, model, webhook = connection.execute(_STANDING, {"the_id": media_id}).one()
    return Standing(tries, most, model, to_webhook(webhook))


def ended_before(connection: Connection, at: datetime, *, limit: int) -> list[UUID]:
    """Ended media that were made before `at`, and of which nothing is to be told any more, oldest first."""
    is_told = ~exists().where(deliveries.c.media_id == media.c.id, PENDING)
    statement = select(media.c.id).where(media.c.id < first_id_at(at), media.c.status.in_(ENDED), is_told)
    return list(connection.execute(statement.order_by(media.c.id).limit(limit)).scalars())
