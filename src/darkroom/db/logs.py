"""Statements on `logs`: the story of a media, line by line."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, insert, select

from darkroom.db.rows import to_line
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
    """`CancelRequested` -> `cancel_requested`."""
    kind = type(event).__name__
    return kind[0].lower() + "".join(f"_{c.lower()}" if c.isupper() else c for c in kind[1:])


def page(connection: Connection, media_id: UUID, *, after: int, limit: int) -> list[LogLine]:
    """The lines after line `after`, oldest first."""
    statement = select(logs).where(logs.c.media_id == media_id, logs.c.id > after).order_by(logs.c.id)
    return [to_line(row) for row in connection.execute(statement.limit(limit))]
