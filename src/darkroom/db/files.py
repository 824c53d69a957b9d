"""Statements on `files`."""

from collections.abc import Sequence
from dataclasses import asdict
from uuid import UUID

from sqlalchemy import Connection, insert, select

from darkroom.db.rows import to_file
from darkroom.db.tables import files
from darkroom.media.model import File


def add(connection: Connection, rows: Sequence[File]) -> None:
    """Insert files."""
    if rows:
        connection.execute(insert(files), [asdict(row) for row in rows])


def of_media(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, tuple[File, ...]]:
    """The files of some media, by media, in their order."""
    statement = select(files).where(files.c.media_id.in_(ids)).order_by(files.c.media_id, files.c.index)
    found: dict[UUID, tuple[File, ...]] = {}
    for row in connection.execute(statement):
        found[row.media_id] = (*found.get(row.media_id, ()), to_file(row))
    return found


def get(connection: Connection, media_id: UUID, index: int) -> File | None:
    """One file of a media."""
    statement = select(files).where(files.c.media_id == media_id, files.c.index == index)
    row = connection.execute(statement).one_or_none()
    return to_file(row) if row else None
