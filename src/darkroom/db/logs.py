"""Statements on `logs`: the story of a media, line by line."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, bindparam, func, insert, select

from darkroom.db.rows import AnyRow, to_line
from darkroom.db.tables import logs
from darkroom.media.events import MediaEvent
from darkroom.media.model import LogLine


def add(connection: Connection, events: Sequence[MediaEvent]) -> None:
    """Write what happened."""
    rows = [
        {
            "media_id": event.media_id,
            "job_id": event.job_id,
            "at": event.at,
            "event": name(event),
            "message": event.line,
        }
        for event in events
    ]
    if rows:
        connection.execute(insert(logs), rows)


def name(event: MediaEvent) -> str:
    """`CancelRequested(…)` -> `cancel_requested`."""
    return name_of(type(event))


def name_of(kind: type) -> str:
    """`CancelRequested` -> `cancel_requested`."""
    words = kind.__name__
    return words[0].lower() + "".join(f"_{c.lower()}" if c.isupper() else c for c in words[1:])


def page(connection: Connection, media_id: UUID, *, after: int, limit: int) -> list[LogLine]:
    """The lines after line `after`, oldest first."""
    statement = select(logs).where(logs.c.media_id == media_id, logs.c.id > after).order_by(logs.c.id)
    return [to_line(row) for row in connection.execute(statement.limit(limit))]


CHUNK = 1000
_BRIEFLY = select(logs.c.id, logs.c.media_id, logs.c.event, logs.c.at).limit(CHUNK)
_AFTER = _BRIEFLY.where(logs.c.id > bindparam("line")).order_by(logs.c.id)
_BEFORE = _BRIEFLY.where(logs.c.id < bindparam("line")).order_by(logs.c.id.desc())


def newest(connection: Connection) -> int:
    """The last line of all stories; 0 if there is none."""
    return connection.execute(select(func.max(logs.c.id))).scalar() or 0


def after(connection: Connection, line: int) -> Sequence[AnyRow]:
    """`id`, `media_id`, `event` and `at` of at most `CHUNK` lines after `line`, oldest first."""
    return connection.execute(_AFTER, {"line": line}).all()


def media_since(connection: Connection, since: datetime, *, chunks: int) -> list[UUID]:
    """Media of which there is a line since `since`, the one with the oldest last line first.

    Only the last `chunks` x `CHUNK` lines of all are looked at, as there is no index by time.
    """
    found: dict[UUID, None] = {}
    line = newest(connection) + 1
    for _ in range(chunks):
        rows = connection.execute(_BEFORE, {"line": line}).all()
        recent = [row.media_id for row in rows if row.at >= since]
        found |= dict.fromkeys(media_id for media_id in recent if media_id not in found)
        if not recent:
            break
        line = rows[-1].id
    return list(reversed(found))
