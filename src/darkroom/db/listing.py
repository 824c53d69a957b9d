"""Lists of media: filters, and pages whose cost is bounded."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, select

from darkroom.db.media import some
from darkroom.db.rows import AnyRow
from darkroom.db.tables import media, tags
from darkroom.media.ids import first_id_at
from darkroom.media.model import Media
from darkroom.media.states import Status

WINDOW = 2000
"""Rows that one step of a filtered list looks at."""
STEPS = 5
_CLOCK_SKEW = timedelta(seconds=30)
"""How far the time in an id may be from its media's: they are the same where one clock made both."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is narrowed to. `q`: words, all of which the prompt has."""

    owner: str | None = None
    status: Status | None = None
    model: str | None = None
    tag: str | None = None
    q: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a list, newest first. `next_cursor`: None at the end; else a page may still be short."""

    items: tuple[Media, ...]
    next_cursor: UUID | None


def page(connection: Connection, wanted: Filter, *, cursor: UUID | None, limit: int) -> Page:
    """The newest media before `cursor` that pass `wanted`.

    One index leads, the other conditions look at 2,000 of its rows at a time and 10,000 at most:
    the cost of a page is bounded whatever the filter and however many rows there are.
    """
    found: list[AnyRow] = []
    others = _others(wanted)
    for _ in range(STEPS):
        # A window is fixed by its ends, not by a count: no row is passed over when others leave meanwhile.
        end = connection.execute(_index(wanted, cursor).offset(WINDOW - 1).limit(1)).scalar() if others else None
        matches = _index(wanted, cursor, end).where(*others)
        if wanted.tag is not None:
            matches = matches.join(media, media.c.id == tags.c.media_id)
        found += connection.execute(matches.limit(limit + 1 - len(found))).all()
        if len(found) > limit:
            return Page(some(connection, [row.id for row in found[:limit]]), found[limit - 1].id)
        cursor = end
        if cursor is None:
            break
    return Page(some(connection, [row.id for row in found]), cursor)


def _index(wanted: Filter, before: UUID | None, end: UUID | None = None) -> Select[Any]:
    """The ids from before `before` to `end`, newest first, that pass what the leading index answers."""
    if wanted.tag is not None:
        key: ColumnElement[UUID] = tags.c.media_id
        leading = [tags.c.tag == wanted.tag]
    else:
        key = media.c.id
        leading = [media.c.owner == wanted.owner]
        if wanted.status is not None:
            leading.append(media.c.status == wanted.status)
        elif wanted.model is not None:
            leading.append(media.c.model == wanted.model)
    return select(key.label("id")).where(*leading, *_bounds(wanted, key, before, end)).order_by(key.desc())


def _bounds(
    wanted: Filter, key: ColumnElement[UUID], before: UUID | None, end: UUID | None
) -> list[ColumnElement[bool]]:
    bounds = [] if before is None else [key < before]
    if end is not None:
        bounds.append(key >= end)
    if wanted.created_after is not None:
        bounds.append(key >= first_id_at(wanted.created_after - _CLOCK_SKEW))
    if wanted.created_before is not None:
        bounds.append(key < first_id_at(wanted.created_before + _CLOCK_SKEW))
    return bounds


def _others(wanted: Filter) -> list[ColumnElement[bool]]:
    """The conditions that the leading index does not answer."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.tag is not None:
        conditions.append(media.c.owner == wanted.owner)
        if wanted.status is not None:
            conditions.append(media.c.status == wanted.status)
    if (wanted.tag is not None or wanted.status is not None) and wanted.model is not None:
        conditions.append(media.c.model == wanted.model)
    if wanted.created_after is not None:
        conditions.append(media.c.created_at >= wanted.created_after)
    if wanted.created_before is not None:
        conditions.append(media.c.created_at < wanted.created_before)
    words = (wanted.q or "").casefold().split()
    return conditions + [media.c.words.contains(f" {word} ", autoescape=True) for word in words]
