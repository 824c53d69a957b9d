"""Several processes on one PostgreSQL: each an engine, or part of one, with a database of its own."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, event

from darkroom.db import tables
from darkroom.db.session import open_database
from darkroom.dispatch.base import Dispatcher
from darkroom.dispatch.embedded import EmbeddedDispatcher
from darkroom.engine.core import Engine
from darkroom.engine.janitor import Janitor
from darkroom.engine.lifecycle import Lifecycle
from darkroom.engine.transitions import leasing, reporting
from darkroom.engine.transitions.leasing import Task
from darkroom.engine.transitions.reporting import LetGo
from darkroom.errors import LeaseLost
from darkroom.events.memory import MemoryBus
from darkroom.media.model import Media, Submission
from darkroom.settings import Settings
from darkroom.settings.tree import Lane
from darkroom.wiring import open_engine
from services.engines import rows, submit, until

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def lifecycles(
    url: str, n: int, *, lease: float = 30.0, apart: timedelta = timedelta(0)
) -> AsyncIterator[list[Lifecycle]]:
    """Those of `n` processes, on machines whose clocks are `apart` from each other."""
    async with AsyncExitStack() as stack:
        made = []
        for number in range(n):
            off = number * apart
            opened = open_database(url, wall=lambda off=off: datetime.now(UTC) + off)  # type: ignore[misc]
            database = await stack.enter_async_context(opened.running())
            made.append(Lifecycle(database, MemoryBus(), EmbeddedDispatcher(), lease=timedelta(seconds=lease)))
        yield made


async def accept(lifecycle: Lifecycle, owner: str | None = None) -> Media:
    answer = await lifecycle.submit(Submission("p", "m", "default", {}, max_tries=3, owner=owner))
    assert isinstance(answer, Media)
    return answer


async def test_no_job_is_claimed_twice_and_none_is_forgotten(postgres_url: str) -> None:
    async def claim_all(lifecycle: Lifecycle, most: int) -> list[Task]:
        tasks: list[Task] = []
        while found := await lifecycle.claim("default", most, worker="w"):
            tasks += found
        return tasks

    async with lifecycles(postgres_url, 4) as sites:
        owners = ["hog"] * 150 + [f"owner {number}" for number in range(30)] * 3
        made = await asyncio.gather(*(accept(sites[n % 4], owner) for n, owner in enumerate(owners)))
        at_once = zip(sites, (1, 5, 7, 16), strict=True)
        claimed = await asyncio.gather(*(claim_all(site, most) for site, most in at_once))
        left = await claim_all(sites[0], 100)  # what was locked by another just when it was looked for
    counts = Counter(task.media.id for tasks in [*claimed, left] for task in tasks)
    assert set(counts) == {media.id for media in made}
    assert set(counts.values()) == {1}


async def test_a_worker_that_was_frozen_past_its_lease_finds_its_job_gone(postgres_url: str) -> None:
    async with lifecycles(postgres_url, 2, lease=0.3, apart=timedelta(hours=1)) as (frozen, other):
        await accept(frozen)
        (task,) = await frozen.claim("default", 1, worker="frozen")

        async def is_lost() -> bool:
            return await other.lose_expired() == 1

        assert not await is_lost()
        await until(is_lost)
        (again,) = await other.claim("default", 1, worker="other")
        assert await frozen.heartbeat([task.job.id]) == {}
        with pytest.raises(LeaseLost):
            await frozen.report(reporting.let_go, LetGo(task.job.id, frozen.now()))
        assert (again.job.number, again.media.number_of_tries) == (2, 1)
        assert list(await other.heartbeat([again.job.id])) == [again.job.id]


async def test_the_leases_of_a_thousand_jobs_are_extended_in_one_statement(postgres_url: str) -> None:
    async with lifecycles(postgres_url, 1) as (site,), open_database(postgres_url).running() as database:
        await asyncio.gather(*(accept(site) for _ in range(1000)))
        tasks = await site.claim("default", 1000, worker="w")
        statements: list[str] = []

        def beat(connection: Connection) -> int:
            event.listen(connection, "before_cursor_execute", lambda *args: statements.append(args[2]))
            item = leasing.Beat(tuple(task.job.id for task in tasks), site.now() + timedelta(minutes=5))
            (done,) = leasing.heartbeat(connection, [item])
            return len(done.result)

        assert await database.transact(beat) == 1000
        assert len(statements) == 1


# Lanes, and the janitors of many


class Broker(EmbeddedDispatcher):
    """A dispatcher with a broker that notes of what it is reminded."""

    location = "nowhere"

    def __init__(self) -> None:
        super().__init__()
        self.reminded: list[tuple[str, int]] = []

    def remind(self, lane: str, due: int) -> None:
        self.reminded.append((lane, due))


def janitor(engine: Engine, dispatcher: Dispatcher, *, interval: timedelta) -> Janitor:
    return Janitor(
        engine.database, engine.lifecycle, dispatcher, engine.sweeper, engine.admission,
        lanes=["default"], lease=timedelta(seconds=30), interval=interval,
    )  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(data_dir=tmp_path / "data", database_url=database_url, poll_interval=0.05)


async def reminded_at(engine: Engine) -> datetime | None:
    (row,) = [row for row in await rows(engine, tables.lanes) if row.name == "default"]
    at: datetime | None = row.reminded_at
    return at


async def test_of_many_janitors_one_reminds_a_lane_of_its_due_jobs(settings: Settings) -> None:
    broker = Broker()
    async with open_engine(settings) as one, open_engine(settings) as other:
        janitors = [janitor(engine, broker, interval=timedelta(hours=1)) for engine in (one, other)]
        for each in janitors:
            await each.round()
        assert broker.reminded == []
        assert await reminded_at(one) is None  # an idle lane costs no write
        for _ in range(3):
            await submit(one)
        for each in (*janitors, *janitors):
            await each.look()
        assert broker.reminded == [("default", 3)]
        later = one.lifecycle.now() + timedelta(hours=2)
        other.lifecycle.now = lambda: later
        await janitors[1].look()
        assert broker.reminded == [("default", 3)] * 2


async def test_a_paused_lane_is_not_reminded(settings: Settings) -> None:
    broker = Broker()
    async with open_engine(settings) as engine:
        keeper = janitor(engine, broker, interval=timedelta(0))
        await submit(engine)
        await engine.lanes.pause("default")
        await keeper.round()
        assert broker.reminded == []
        await engine.lanes.resume("default")
        await keeper.round()
        assert broker.reminded == [("default", 1)]


async def test_a_lane_that_another_process_has_is_left_alone_and_shown(settings: Settings) -> None:
    with_gpu = settings.model_copy(update={"lanes": {"default": Lane(), "gpu": Lane()}})
    async with open_engine(with_gpu) as one, open_engine(settings) as other:
        await one.janitor.round()
        await one.lifecycle.submit(Submission("p", "m", "gpu", {}, max_tries=3))
        await other.janitor.round()
        shown = {lane.name: lane for lane in await other.lanes.every()}
        assert (shown["gpu"].queued, shown["gpu"].limits) == (1, None)
        assert (await other.lanes.pause("gpu")).paused
        assert await one.lifecycle.claim("gpu", 1, worker="w") == []
        later = other.lifecycle.now() + timedelta(minutes=11)
        other.lifecycle.now = lambda: later
        await other.janitor.round()
        assert [job.lane for job in await rows(one, tables.jobs)] == ["default"]
        assert "gpu" not in {lane.name for lane in await other.lanes.every()}
