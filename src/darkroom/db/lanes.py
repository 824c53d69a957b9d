"""Statements on `lanes`: what all processes know of each."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from darkroom.db.jobs import waiting_lanes
from darkroom.db.tables import lanes

GONE_AFTER = timedelta(minutes=10)
"""A lane that no process has had in its settings for so long is gone. A rolling restart takes less."""


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane. `paused_at`: since when its jobs are held back; `seen_at`: when a process last had it in its settings."""

    name: str
    paused_at: datetime | None
    seen_at: datetime

    def is_gone(self, now: datetime) -> bool:
        """Whether no process has it in its settings any more."""
        return now - self.seen_at > GONE_AFTER


def see(connection: Connection, names: Sequence[str], at: datetime, *, again: bool = True) -> None:
    """Note that these lanes were seen at `at`; `again`: also those that are known."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = dialect.insert(lanes)
    if again:
        new = new.on_conflict_do_update(index_elements=[lanes.c.name], set_={"seen_at": new.excluded.seen_at})
    else:
        new = new.on_conflict_do_nothing()
    connection.execute(new, [{"name": name, "seen_at": at} for name in sorted(names)])


_LANES = select(lanes.c.name, lanes.c.paused_at, lanes.c.seen_at)


def every(connection: Connection) -> list[Lane]:
    """All lanes that were ever seen, by name."""
    return [Lane(*row) for row in connection.execute(_LANES.order_by(lanes.c.name))]


def get(connection: Connection, name: str) -> Lane | None:
    """A lane, if it was ever seen."""
    row = connection.execute(_LANES.where(lanes.c.name == name)).one_or_none()
    return None if row is None else Lane(*row)


def pause(connection: Connection, name: str, at: datetime) -> None:
    """Hold the jobs of a lane back from `at` on, unless they are already."""
    statement = update(lanes).where(lanes.c.name == name, lanes.c.paused_at.is_(None))
    connection.execute(statement.values(paused_at=at))


def resume(connection: Connection, name: str) -> None:
    """Hold the jobs of a lane back no longer."""
    connection.execute(update(lanes).where(lanes.c.name == name).values(paused_at=None))


def win_reminder(connection: Connection, name: str, at: datetime, *, last_before: datetime) -> bool:
    """Whether the caller is the one to remind a lane at `at`: nobody did since `last_before`."""
    is_time = or_(lanes.c.reminded_at.is_(None), lanes.c.reminded_at < last_before)
    statement = update(lanes).where(lanes.c.name == name, is_time).values(reminded_at=at)
    return connection.execute(statement).rowcount > 0


def strays(connection: Connection, here: Collection[str], now: datetime) -> list[str]:
    """The lanes that jobs wait in, and that are neither `here` nor known to be elsewhere."""
    waiting = [name for name in waiting_lanes(connection) if name not in here]
    if not waiting:
        return []
    seen = {lane.name for lane in every(connection) if not lane.is_gone(now)}
    return [name for name in waiting if name not in seen]
