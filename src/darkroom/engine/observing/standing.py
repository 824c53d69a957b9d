"""What waits and runs, as the database says it: the gauges of a scrape."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from prometheus_client.metrics_core import GaugeMetricFamily
from sqlalchemy import Connection

from darkroom.db import accounts, deliveries, jobs, lanes, standing
from darkroom.db.session import Database
from darkroom.db.standing import Queue
from darkroom.errors import DatabaseUnavailable
from darkroom.telemetry import metrics

log = structlog.get_logger(__name__)

FRESH = 2.0
"""Seconds for which an answer is given again: however often it is scraped, the database is asked no oftener."""

PATIENCE = 4.0
"""Seconds for the database to answer: less than a scrape waits."""


@dataclass(frozen=True, slots=True)
class _Counted:
    queues: dict[str, Queue]
    running: dict[str, int]
    paused: frozenset[str]
    blocked: dict[str, bool]
    untold: int
    trash: int


class Standing:
    """Counts for these lanes at the time that `now` tells."""

    def __init__(self, database: Database, now: Callable[[], datetime], of_lanes: Sequence[str]) -> None:
        self._database = database
        self._now = now
        self._lanes = of_lanes
        self._asking = asyncio.Lock()
        self._known: list[GaugeMetricFamily] = []
        self._fresh_until = float("-inf")

    async def gauges(self) -> list[GaugeMetricFamily]:
        """Everything that the database tells. While it does not answer: only that."""
        async with self._asking:
            if asyncio.get_running_loop().time() >= self._fresh_until:
                self._known = await self._ask()
                self._fresh_until = asyncio.get_running_loop().time() + FRESH
        return self._known

    async def _ask(self) -> list[GaugeMetricFamily]:
        up, now = metrics.DATABASE_UP(), self._now()
        try:
            async with asyncio.timeout(PATIENCE):
                counted = await self._database.read(_count, self._lanes, now)
        except (DatabaseUnavailable, TimeoutError) as error:
            log.warning("jobs_not_counted", reason=repr(error))
            up.add_metric((), 0)
            return [up]
        up.add_metric((), 1)
        return [up, *_families(counted, now)]


def _count(connection: Connection, of_lanes: Sequence[str], now: datetime) -> _Counted:
    most = metrics.COUNTED_TO
    return _Counted(
        queues={lane: standing.queue(connection, lane, now, most=most) for lane in of_lanes},
        running=jobs.count_running(connection, most=most),
        paused=frozenset(lane.name for lane in lanes.every(connection) if lane.paused_at is not None),
        blocked={account.name: account.is_blocked(now) for account in accounts.every(connection)},
        untold=deliveries.count_pending(connection, most=most),
        trash=standing.trash_waiting(connection, most=most),
    )


def _families(counted: _Counted, now: datetime) -> list[GaugeMetricFamily]:
    due, waiting, running = metrics.DUE_JOBS(), metrics.WAITING_JOBS(), metrics.RUNNING_JOBS()
    oldest, paused, trash = metrics.OLDEST_DUE(), metrics.LANE_PAUSED(), metrics.TRASH()
    for lane, queue in counted.queues.items():
        age = (now - queue.oldest).total_seconds() if queue.oldest is not None else 0.0
        for family, value in (
            (due, queue.due),
            (waiting, queue.later),
            (running, counted.running.get(lane, 0)),
            (oldest, age),
            (paused, lane in counted.paused),
        ):
            family.add_metric((lane,), value)
    blocked = metrics.ACCOUNT_BLOCKED()
    for name, is_blocked in counted.blocked.items():
        blocked.add_metric((name,), is_blocked)
    untold = metrics.WEBHOOKS_PENDING()
    untold.add_metric((), counted.untold)
    trash.add_metric((), counted.trash)
    return [due, waiting, running, oldest, paused, blocked, untold, trash]
