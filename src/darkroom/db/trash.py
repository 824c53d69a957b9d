"""Statements on `trash`: storage prefixes that no media needs any more."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from darkroom.db.tables import trash


def add(connection: Connection, prefixes: Sequence[str], *, delete_after: datetime) -> None:
    """Have the store cleared below `prefixes` once `delete_after` has passed, also if it is just being cleared."""
    if not prefixes:
        return
    rows = [{"prefix": prefix, "delete_after": delete_after} for prefix in prefixes]
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(trash)
    renewed = {"delete_after": statement.excluded.delete_after}
    connection.execute(statement.on_conflict_do_update(index_elements=[trash.c.prefix], set_=renewed), rows)


def due(connection: Connection, now: datetime, *, limit: int) -> list[str]:
    """Prefixes to clear now, oldest first."""
    statement = select(trash.c.prefix).where(trash.c.delete_after <= now)
    return list(connection.execute(statement.order_by(trash.c.delete_after).limit(limit)).scalars())


def noted(connection: Connection, prefixes: Sequence[str]) -> dict[str, datetime]:
    """Those of `prefixes` that are to be cleared, and since when."""
    rows = connection.execute(select(trash).where(trash.c.prefix.in_(prefixes)))
    return {row.prefix: row.delete_after for row in rows}


def forget(connection: Connection, cleared: Sequence[tuple[str, datetime]]) -> None:
    """The store holds nothing below these prefixes any more, unless they were added anew after that time."""
    for prefix, since in cleared:
        connection.execute(delete(trash).where(trash.c.prefix == prefix, trash.c.delete_after == since))
