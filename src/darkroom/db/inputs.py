"""Statements on `inputs`: pictures that callers gave to start from."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from darkroom.db.rows import AnyRow
from darkroom.db.tables import inputs
from darkroom.media.model import Input


def add(connection: Connection, new: Input) -> bool:
    """Insert one; False: there is one with its id."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(inputs).values(asdict(new)).on_conflict_do_nothing(index_elements=[inputs.c.id])
    return connection.execute(statement.returning(inputs.c.id)).one_or_none() is not None


def get(connection: Connection, input_id: UUID) -> Input | None:
    """The one of that id."""
    row = connection.execute(select(inputs).where(inputs.c.id == input_id)).one_or_none()
    return _to_input(row) if row else None


def some(connection: Connection, ids: Collection[UUID]) -> dict[UUID, Input]:
    """Those of `ids` that there are."""
    rows = connection.execute(select(inputs).where(inputs.c.id.in_(ids)))
    return {row.id: _to_input(row) for row in rows}


def page(connection: Connection, *, before: UUID, limit: int) -> list[Input]:
    """Those with the greatest ids below `before`, in falling order."""
    rows = connection.execute(select(inputs).where(inputs.c.id < before).order_by(inputs.c.id.desc()).limit(limit))
    return [_to_input(row) for row in rows]


def touch(connection: Connection, ids: Collection[UUID], at: datetime) -> set[UUID]:
    """Note that `ids` are asked for at `at`; answer with those that there are."""
    statement = update(inputs).where(inputs.c.id.in_(ids)).values(used_at=at)
    return set(connection.execute(statement.returning(inputs.c.id)).scalars())


def remove(connection: Connection, input_id: UUID) -> str | None:
    """Delete one; answer with the key of its picture. None: there is none."""
    return connection.execute(delete(inputs).where(inputs.c.id == input_id).returning(inputs.c.key)).scalar()


def unused(connection: Connection, before: datetime, *, limit: int) -> Sequence[UUID]:
    """Some that were not asked for since `before`, the longest unused first."""
    statement = select(inputs.c.id).where(inputs.c.used_at < before).order_by(inputs.c.used_at).limit(limit)
    return connection.execute(statement).scalars().all()


def expire(connection: Connection, ids: Collection[UUID], before: datetime) -> Sequence[str]:
    """Delete `ids`, but for those that were asked for meanwhile; answer with the keys of their pictures."""
    statement = delete(inputs).where(inputs.c.id.in_(ids), inputs.c.used_at < before)
    return connection.execute(statement.returning(inputs.c.key)).scalars().all()


def _to_input(row: AnyRow) -> Input:
    return Input(**row._asdict())
