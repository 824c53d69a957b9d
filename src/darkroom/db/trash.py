"""Statements on `trash`: storage prefixes that no media needs any more."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from darkroom.db.tables import trash


def add(connection: Connection, prefixes: Sequence[str], *, delete_after: datetime) -> None:
    """Have the store cleared below `prefixes` once `delete_after` has passed."""
    if not prefixes:
        return
    rows = [{"prefix": prefix, "delete_after": delete_after} for prefix in prefixes]
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(trash).on_conflict_do_nothing(), rows)


def due(connection: Connection, now: datetime, *, limit: int) -> list[str]:
    """Prefixes to clear now, oldest first."""
    statement = select(trash.c.prefix).where(trash.c.delete_after <= now)
    return list(connection.execute(statement.order_by(trash.c.delete_after).limit(limit)).scalars())


def forget(connection: Connection, prefixes: Sequence[str]) -> None:
    """The store holds nothing below `prefixes` any more."""
    connection.execute(delete(trash).where(trash.c.prefix.in_(prefixes)))
