"""Statements on `spending`: what was set aside and spent, by day, owner, model and account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, func, literal_column, select, type_coerce
from sqlalchemy.dialects import postgresql, sqlite

from darkroom.db.rows import AnyRow
from darkroom.db.tables import spending
from darkroom.db.types import Money
from darkroom.media.money import EACH_OWNER, Budget

By = Literal["day", "owner", "model", "provider"]
NOTHING = Decimal(0)
_LOCK = 0x6461726B726D02


@dataclass(frozen=True, slots=True)
class Entry:
    """A change of what was spent, to be added."""

    day: date
    owner: str
    model: str
    provider: str
    spent: Decimal = NOTHING
    reserved: Decimal = NOTHING
    jobs: int = 0
    pictures: int = 0


@dataclass(frozen=True, slots=True)
class Total:
    """What was spent under one key (a day, an owner, a model or an account)."""

    key: str
    jobs: int
    pictures: int
    spent: Decimal
    reserved: Decimal


def add(connection: Connection, entries: Sequence[Entry]) -> None:
    """Add to what was spent."""
    if not entries:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = dialect.insert(spending)
    sums = {name: spending.c[name] + new.excluded[name] for name in ("spent", "reserved", "jobs", "pictures")}
    key = ["day", "owner", "model", "provider"]
    rows = sorted(entries, key=lambda entry: (entry.day, entry.owner, entry.model, entry.provider))
    connection.execute(new.on_conflict_do_update(index_elements=key, set_=sums), [_row(entry) for entry in rows])


def _row(entry: Entry) -> Mapping[str, Any]:
    return {name: getattr(entry, name) for name in Entry.__slots__}


def lock(connection: Connection) -> None:
    """Let nobody else set money aside until the transaction ends. SQLite lets only one write anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def used(connection: Connection, budget: Budget, day: date, owner: str) -> Decimal:
    """What of a budget is spent or set aside on a day; of one for each owner, that of `owner`."""
    statement = select(_money(spending.c.spent + spending.c.reserved)).where(spending.c.day == day)
    if budget.model is not None:
        statement = statement.where(spending.c.model == budget.model)
    if budget.owner is not None:
        statement = statement.where(spending.c.owner == (owner if budget.owner == EACH_OWNER else budget.owner))
    return connection.execute(statement).scalar_one()


def of_budget(connection: Connection, budget: Budget, day: date, *, most: int) -> list[Total]:
    """What of a budget is used on a day, one total. Of one for each owner: by owner, the `most` that used most."""
    each = budget.owner == EACH_OWNER
    statement = _sums(spending.c.owner if each else literal_column("''")).where(spending.c.day == day)
    if budget.model is not None:
        statement = statement.where(spending.c.model == budget.model)
    if each:
        statement = statement.group_by(spending.c.owner)
    elif budget.owner is not None:
        statement = statement.where(spending.c.owner == budget.owner)
    most_first = statement.order_by(func.sum(spending.c.spent + spending.c.reserved).desc())
    return [_total(row) for row in connection.execute(most_first.limit(most))]


def totals(connection: Connection, by: By, *, since: date, until: date, owner: str | None = None) -> list[Total]:
    """What was spent from the day `since` to `until`, both included, by one key. Most first; days in order."""
    key = spending.c[by]
    statement = _sums(key).where(spending.c.day.between(since, until)).group_by(key)
    if owner is not None:
        statement = statement.where(spending.c.owner == owner)
    rows = [_total(row) for row in connection.execute(statement)]
    return sorted(rows, key=lambda row: row.key if by == "day" else (-row.spent, row.key))


def _sums(key: ColumnElement[Any]) -> Select[Any]:
    counts = (func.coalesce(func.sum(column), 0) for column in (spending.c.jobs, spending.c.pictures))
    return select(key, *counts, _money(spending.c.spent), _money(spending.c.reserved))


def _total(row: AnyRow) -> Total:
    return Total(str(row[0]), int(row[1]), int(row[2]), row[3], row[4])


def _money(amount: ColumnElement[Any]) -> ColumnElement[Decimal]:
    """The sum of amounts, still an amount: on PostgreSQL a sum has another type than what it sums."""
    return type_coerce(func.coalesce(func.sum(amount), 0), Money)
