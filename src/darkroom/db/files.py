"""Statements on `files`."""

from collections.abc import Sequence
from dataclasses import asdict
from uuid import UUID

from sqlalchemy import Connection, bindparam, insert, select

from darkroom.db.rows import to_file
from darkroom.db.tables import files
from darkroom.media.model import File


def add(connection: Connection, rows: Sequence[File]) -> None:
    """Insert files."""
    if rows:
        connection.execute(insert(files), [asdict(row) for row in rows])


_OF_MEDIA = (
    select(files)
    .where(files.c.media_id.in_(bindparam("ids", expanding=True)))
    .order_by(files.c.media_id, files.c.index)
)
_GET = select(files).where(files.c.media_id == bindparam("the_id"), files.c.index == bindparam("the_index"))


def of_media(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, tuple[File, ...]]:
    """The files of some media, by media, in their order."""
    found: dict[UUID, tuple[File, ...]] = {}
    for row in connection.execute(_OF_MEDIA, {"ids": ids}):
        found[row.media_id] = (*found.get(row.media_id, ()), to_file(row))
    return found


def get(connection: Connection, media_id: UUID, index: int) -> File | None:
    """One file of a media."""
    row = connection.execute(_GET, {"the_id": media_id, "the_index": index}).one_or_none()
    return to_file(row) if row else None
