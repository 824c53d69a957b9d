"""The database's clock decides, whatever the machines' own say."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from darkroom.db import clock as clocks
from darkroom.db.clock import Sample, ServerClock
from darkroom.db.session import Database, open_database
from darkroom.dispatch.embedded import EmbeddedDispatcher
from darkroom.engine.lifecycle import Lifecycle
from darkroom.engine.transitions import reporting
from darkroom.errors import DatabaseUnavailable
from darkroom.events.memory import MemoryBus
from darkroom.media.ids import first_id_at
from darkroom.media.model import Media, Submission
from services.engines import until

pytestmark = pytest.mark.anyio

LEASE = timedelta(seconds=30)
TOLERANCE = timedelta(seconds=5)
"""For a machine that is busy with other things."""


def an_hour(ahead: int) -> clocks.Now:
    """The clock of a machine that goes wrong by an hour."""
    return lambda: datetime.now(UTC) + timedelta(hours=ahead)


def engine_of(database: Database) -> Lifecycle:
    return Lifecycle(database, MemoryBus(), EmbeddedDispatcher(), lease=LEASE)


async def submit(lifecycle: Lifecycle) -> Media:
    answer = await lifecycle.submit(Submission("p", "m", "default", {}, max_tries=3))
    assert isinstance(answer, Media)
    return answer


@pytest.mark.parametrize("ahead", [-1, 1])
async def test_a_machine_whose_clock_is_an_hour_off_writes_the_right_times(postgres_url: str, ahead: int) -> None:
    async with open_database(postgres_url, wall=an_hour(ahead)).running() as database:
        lifecycle = engine_of(database)
        media = await submit(lifecycle)
        (task,) = await lifecycle.claim("default", 1, worker="w")
        now = datetime.now(UTC)
    assert abs(media.created_at - now) < TOLERANCE
    assert first_id_at(now - TOLERANCE) < media.id < first_id_at(now + TOLERANCE)
    assert abs(task.job.run_at - now) < TOLERANCE
    assert task.job.lease_expires_at is not None
    assert abs(task.job.lease_expires_at - LEASE - now) < TOLERANCE


async def test_a_machine_whose_clock_is_ahead_takes_no_lease_that_has_not_run_out(postgres_url: str) -> None:
    async with (
        open_database(postgres_url, wall=an_hour(-1)).running() as behind,
        open_database(postgres_url, wall=an_hour(1)).running() as ahead,
    ):
        media = await submit(engine_of(ahead))
        (task,) = await engine_of(behind).claim("default", 1, worker="behind")
        assert await engine_of(ahead).lose_expired() == 0
        assert await engine_of(ahead).heartbeat([task.job.id]) == {task.job.id: None}
        await engine_of(behind).report(reporting.let_go, reporting.LetGo(task.job.id, behind.now()))
        assert task.media.id == media.id


async def test_media_of_machines_whose_clocks_differ_are_listed_in_the_order_in_which_they_came(
    postgres_url: str,
) -> None:
    async with (
        open_database(postgres_url, wall=an_hour(-1)).running() as behind,
        open_database(postgres_url, wall=an_hour(1)).running() as ahead,
    ):
        sites = [engine_of(ahead), engine_of(behind)]
        made = []
        for number in range(6):
            made.append((await submit(sites[number % 2])).id)
            await asyncio.sleep(0.05)  # by more than either may be wrong
    assert made == sorted(made)


async def test_on_sqlite_it_is_the_clock_of_the_machine(sqlite_url: str) -> None:
    async with open_database(sqlite_url).running() as database:
        before = datetime.now(UTC)
        assert before <= database.now() <= datetime.now(UTC)


async def test_a_clock_that_cannot_be_measured_goes_on_and_is_measured_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "RETRY", 0.01)
    monkeypatch.setattr(clocks, "EVERY", 0.01)
    server = datetime(2040, 1, 1, tzinfo=UTC)
    answers = False

    async def ask() -> Sample:
        if not answers:
            raise DatabaseUnavailable("the database does not answer")
        return Sample(server, asyncio.get_running_loop().time(), 0.0)

    clock = ServerClock(ask)

    async def is_right() -> bool:
        return abs(clock.now() - server) < TOLERANCE

    async with clock.running():
        assert abs(clock.now() - datetime.now(UTC)) < TOLERANCE
        answers = True
        await until(is_right)
        answers = False
        await asyncio.sleep(0.05)
        assert await is_right()


async def test_a_database_that_hangs_does_not_hold_a_start_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "PATIENCE", 0.05)

    async def ask() -> Sample:
        await asyncio.Event().wait()
        raise AssertionError

    async with asyncio.timeout(10), ServerClock(ask).running():
        pass
