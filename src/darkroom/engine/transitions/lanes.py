"""What all processes are to know of a lane: that it is there, that it is paused."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from darkroom.db import jobs, lanes
from darkroom.engine.transitions.base import Answer, Done
from darkroom.errors import NotFound


@dataclass(frozen=True, slots=True)
class See:
    """These lanes are in the settings of a process."""

    names: tuple[str, ...]
    at: datetime


def see(connection: Connection, items: Sequence[See]) -> list[Done[None]]:
    """Note which lanes there are."""
    for item in items:
        lanes.see(connection, item.names, item.at)
    return [Done(None) for _ in items]


@dataclass(frozen=True, slots=True)
class Hold:
    """Whether the jobs of a lane are to be held back. `here`: the lane is in the settings of this process."""

    lane: str
    at: datetime
    paused: bool
    here: bool


def hold(connection: Connection, items: Sequence[Hold]) -> list[Answer[None]]:
    """Pause or resume lanes."""
    return [_hold(connection, item) for item in items]


def _hold(connection: Connection, item: Hold) -> Answer[None]:
    if item.here:
        lanes.see(connection, [item.lane], item.at)
    known = lanes.get(connection, item.lane)
    if known is None or known.is_gone(item.at):
        return no_such_lane(item.lane)
    if item.paused:
        lanes.pause(connection, item.lane, item.at)
    else:
        lanes.resume(connection, item.lane)
    return Done(None)


def no_such_lane(name: str) -> NotFound:
    """The answer to a question about a lane that is not there."""
    return NotFound(f"there is no lane {name!r}", field="name")


@dataclass(frozen=True, slots=True)
class Rehome:
    """Move what waits in a lane that is gone to the lane `to`."""

    lane: str
    to: str
    at: datetime


def rehome(connection: Connection, items: Sequence[Rehome]) -> list[Done[int]]:
    """Move jobs out of lanes that are gone; one that nobody ever saw has its time from now on. Answers how many."""
    return [Done(_rehome(connection, item)) for item in items]


def _rehome(connection: Connection, item: Rehome) -> int:
    lanes.see(connection, [item.lane], item.at, again=False)
    known = lanes.get(connection, item.lane)
    return jobs.move(connection, item.lane, item.to) if known is None or known.is_gone(item.at) else 0


@dataclass(frozen=True, slots=True)
class Remind:
    """A wish to compare a lane's tickets with its due jobs, if nobody did in the last `interval`."""

    lane: str
    at: datetime
    interval: timedelta


def remind(connection: Connection, items: Sequence[Remind]) -> list[Done[bool]]:
    """Decide who reminds a lane: of all processes the first one to ask."""
    return [
        Done(lanes.win_reminder(connection, item.lane, item.at, last_before=item.at - item.interval)) for item in items
    ]
