"""Many at once: four services on one database, and the races of PostgreSQL one by one."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from sqlalchemy import Connection, func, make_url, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from darkroom.db import media as media_rows
from darkroom.db import tables
from darkroom.db.clock import utc_now
from darkroom.db.session import Database, open_database
from darkroom.dispatch.embedded import EmbeddedDispatcher
from darkroom.engine.lifecycle import Lifecycle
from darkroom.engine.transitions import asking, leasing, reporting, submitting
from darkroom.engine.transitions.base import Done
from darkroom.engine.transitions.leasing import Task
from darkroom.errors import Conflict, DatabaseUnavailable, LeaseLost, NotFound
from darkroom.events.memory import MemoryBus
from darkroom.media.events import Progressed, Stored
from darkroom.media.model import Failure, File, Media, Submission
from darkroom.media.policy import GiveUp, RetryAt
from darkroom.media.states import ENDED, JobState, Status
from services.life import check_rules, read_tables

pytestmark = pytest.mark.anyio

R = TypeVar("R")

SITES = 4
MEDIA = 150
WORKERS = 3
LEASE = timedelta(seconds=1)
TIME_LIMIT = 90.0


def submission(**changes: Any) -> Submission:
    wanted: dict[str, Any] = {"prompt": "p", "model": "m", "lane": "default", "parameters": {}, "max_tries": 4}
    return Submission(**wanted | changes)


def pictures_of(task: Task, worker: str) -> reporting.Complete:
    key = f"{task.media.id}/{task.job.id}/0.png"
    file = File(task.media.id, 0, key, None, "image/png", 8, 8, 10, "0" * 64, None, 7)
    stored = Stored(task.media.id, task.job.id, utc_now(), 0, "image/png", 10)
    return reporting.Complete(task.job.id, utc_now(), worker, (file,), (stored,), None)


def failure_of(task: Task, worker: str) -> reporting.Fail:
    spent = task.media.number_of_tries + 1 >= task.media.max_tries
    decision = GiveUp() if spent else RetryAt(utc_now(), counts=True)
    failure = Failure("provider_unavailable", "busy", retryable=True)
    return reporting.Fail(task.job.id, utc_now(), worker, failure, decision)


@dataclass
class Site:
    """What one process would be: a database of its own, workers, a janitor, and people who change their minds."""

    name: str
    lifecycle: Lifecycle
    database: Database
    chance: random.Random
    media: Sequence[UUID]
    completed: list[UUID] = field(default_factory=list)
    held: set[UUID] = field(default_factory=set)

    async def live(self) -> None:
        async with asyncio.TaskGroup() as group:
            chores = [group.create_task(self.keep_house()), group.create_task(self.beat())]
            people = [group.create_task(self.meddle()) for _ in range(2)]
            workers = [group.create_task(self.work()) for _ in range(WORKERS)]
            await asyncio.wait(people)
            while await self.database.read(_unended):
                await asyncio.sleep(0.05)
            for task in (*chores, *workers):
                task.cancel()

    async def patiently(self, verb: Callable[..., Awaitable[R]], *given: Any, **named: Any) -> R:
        """What a verb answers. On a busy machine a write may wait too long for its turn: then nothing was written."""
        while True:
            try:
                return await verb(*given, **named)
            except DatabaseUnavailable:
                await asyncio.sleep(0.05)

    async def work(self) -> None:
        while True:
            tasks = await self.patiently(self.lifecycle.claim, "default", 5, worker=self.name)
            self.held |= {task.job.id for task in tasks}
            await asyncio.gather(*(self.see_through(task) for task in tasks))
            await asyncio.sleep(0 if tasks else 0.02)

    async def see_through(self, task: Task) -> None:
        try:
            await self.patiently(self.lifecycle.accept, task, account="dummy", route="dummy:dummy", ref="r")
            await self.patiently(self.lifecycle.progress, task, 1, 2, milestone=True)
            await self.end(task)
        except LeaseLost:
            await self.patiently(self.lifecycle.discard, task)
        finally:
            self.held.discard(task.job.id)

    async def end(self, task: Task) -> None:
        dice = self.chance.random()
        if dice < 0.7:
            await self.patiently(self.lifecycle.report, reporting.complete, pictures_of(task, self.name))
            self.completed.append(task.media.id)
        elif dice < 0.85:
            await self.patiently(self.lifecycle.report, reporting.fail, failure_of(task, self.name))
        elif dice < 0.95:
            item = reporting.Release(task.job.id, utc_now(), self.name)
            await self.patiently(self.lifecycle.report, reporting.release, item)
        # else it is forgotten, as if the worker had died

    async def beat(self) -> None:
        while True:
            await self.patiently(self.lifecycle.heartbeat, sorted(self.held, key=lambda _: self.chance.random()))
            await asyncio.sleep(0.05)

    async def keep_house(self) -> None:
        while True:
            await self.patiently(self.lifecycle.lose_expired)
            await asyncio.sleep(0.05)

    async def meddle(self) -> None:
        verbs = [self.lifecycle.cancel] * 6 + [self.lifecycle.retry] * 6 + [self.lifecycle.remove]
        for _ in range(60):
            few = self.chance.sample(self.media, 4)
            answers = await asyncio.gather(
                *(self.patiently(self.chance.choice(verbs), media_id) for media_id in few), return_exceptions=True
            )
            unexpected = [it for it in answers if it is not None and not isinstance(it, Conflict | NotFound)]
            assert not unexpected
            await asyncio.sleep(0.005)


def _unended(connection: Connection) -> int:
    rows = select(func.count()).select_from(tables.media).where(tables.media.c.status.not_in(ENDED))
    return connection.execute(rows).scalar_one()


def live_in_thread(url: str, name: str, seed: int, media: Sequence[UUID], completed: list[UUID]) -> None:
    async def live() -> None:
        async with open_database(url).running() as database, asyncio.timeout(TIME_LIMIT):
            lifecycle = Lifecycle(database, MemoryBus(), EmbeddedDispatcher(), lease=LEASE)
            site = Site(name, lifecycle, database, random.Random(seed), media)
            await site.live()
            completed.extend(site.completed)

    asyncio.run(live())


async def test_four_services_on_one_database_complete_each_media_once(database_url: str) -> None:
    async with open_database(database_url).running() as database:
        lifecycle = Lifecycle(database, MemoryBus(), EmbeddedDispatcher())
        accepted = await asyncio.gather(*(lifecycle.submit(submission(priority=n % 3)) for n in range(MEDIA)))
        media = [it.id for it in accepted if isinstance(it, Media)]
        completed: list[UUID] = []
        await asyncio.gather(
            *(asyncio.to_thread(live_in_thread, database_url, f"w{n}", n, media, completed) for n in range(SITES))
        )
        now = await database.read(read_tables)

    check_rules(now)
    assert all(row["status"] in ENDED for row in now.media.values())
    assert len(completed) == len(set(completed))
    done = {media_id for media_id, row in now.media.items() if row["status"] is Status.COMPLETED}
    assert done == set(completed) & set(now.media)
    assert len(done) > MEDIA / 4


# One race at a time


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    """Connections of the test's own, on which a transaction can be held open."""
    engine = create_async_engine(make_url(postgres_url).set(drivername="postgresql+asyncpg"))
    yield engine
    await engine.dispose()


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with open_database(postgres_url).running() as opened:
        yield opened


@pytest.fixture
def lifecycle(database: Database) -> Lifecycle:
    return Lifecycle(database, MemoryBus(), EmbeddedDispatcher(), lease=LEASE)


async def until_someone_waits(engine: AsyncEngine) -> None:
    """Return once a transaction waits for a lock."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(10), engine.connect() as connection:
        while not (await connection.execute(waiting)).scalar_one():
            await connection.rollback()
            await asyncio.sleep(0.005)


async def running_task(lifecycle: Lifecycle, **changes: Any) -> Task:
    await lifecycle.submit(submission(**changes))
    (task,) = await lifecycle.claim("default", 1, worker="w")
    return task


async def test_progress_waits_for_a_job_before_it_touches_the_media(engine: AsyncEngine, lifecycle: Lifecycle) -> None:
    task = await running_task(lifecycle)
    async with engine.begin() as first:
        await first.run_sync(lambda it: reporting.tell(it, [Progressed(task.media.id, task.job.id, utc_now(), 1, 9)]))
        second = asyncio.create_task(lifecycle.progress(task, 2, 9, milestone=True))
        await until_someone_waits(engine)
        (answer,) = await first.run_sync(lambda it: reporting.fail(it, [failure_of(task, "w")]))
        assert isinstance(answer, Done)
    await second


async def test_who_holds_a_media_holds_the_job_that_followed_meanwhile(
    engine: AsyncEngine, lifecycle: Lifecycle
) -> None:
    task = await running_task(lifecycle)
    async with engine.connect() as second:
        async with engine.begin() as first:
            await first.run_sync(lambda it: reporting.fail(it, [failure_of(task, "w")]))
            holding = asyncio.create_task(second.run_sync(lambda it: media_rows.hold(it, [task.media.id])))
            await until_someone_waits(engine)
        await holding
        assert await lifecycle.claim("default", 1, worker="other") == []
        await second.rollback()
    (again,) = await lifecycle.claim("default", 1, worker="other")
    assert again.job.number == 2


async def test_a_cancel_that_meets_a_retry_cancels_the_job_that_followed(
    engine: AsyncEngine, lifecycle: Lifecycle, database: Database
) -> None:
    task = await running_task(lifecycle)
    async with engine.begin() as first:
        await first.run_sync(lambda it: reporting.fail(it, [failure_of(task, "w")]))
        cancelling = asyncio.create_task(lifecycle.cancel(task.media.id))
        await until_someone_waits(engine)
    await cancelling
    now = await database.read(read_tables)
    check_rules(now)
    assert now.media[task.media.id]["status"] is Status.CANCELLED


async def test_a_claim_passes_over_what_is_being_deleted(engine: AsyncEngine, lifecycle: Lifecycle) -> None:
    one = await lifecycle.submit(submission())
    assert isinstance(one, Media)
    async with engine.begin() as first:
        await first.run_sync(lambda it: asking.remove(it, [asking.Ask(one.id, utc_now())]))
        assert await lifecycle.claim("default", 1, worker="w") == []
    assert await lifecycle.claim("default", 1, worker="w") == []


async def test_a_delete_that_meets_a_claim_waits_and_the_worker_loses_the_job(
    engine: AsyncEngine, lifecycle: Lifecycle
) -> None:
    one = await lifecycle.submit(submission())
    assert isinstance(one, Media)
    async with engine.begin() as first:
        claim = leasing.Claim("default", 1, "w", utc_now(), LEASE)
        ((task,),) = [answer.result for answer in await first.run_sync(lambda it: leasing.claim(it, [claim]))]
        deleting = asyncio.create_task(lifecycle.remove(one.id))
        await until_someone_waits(engine)
    await deleting
    assert await lifecycle.heartbeat([task.job.id]) == {}
    with pytest.raises(LeaseLost):
        await lifecycle.report(reporting.complete, pictures_of(task, "w"))


async def test_a_worker_that_completes_while_the_janitor_takes_its_job_changes_nothing(
    engine: AsyncEngine, lifecycle: Lifecycle, database: Database
) -> None:
    task = await running_task(lifecycle)
    async with engine.begin() as first:
        late = utc_now() + 2 * LEASE
        await first.run_sync(lambda it: leasing.lose(it, [leasing.Lose(late, 9)]))
        completing = asyncio.create_task(lifecycle.report(reporting.complete, pictures_of(task, "w")))
        await until_someone_waits(engine)
    with pytest.raises(LeaseLost):
        await completing
    now = await database.read(read_tables)
    check_rules(now)
    assert now.jobs[task.job.id]["state"] is JobState.LOST


async def test_two_requests_with_one_idempotency_key_at_once_make_one_media(
    engine: AsyncEngine, lifecycle: Lifecycle
) -> None:
    wanted = submission(idempotency_key="k", fingerprint="f")
    async with engine.begin() as first:
        item = submitting.Submit(wanted, utc_now())
        (answer,) = await first.run_sync(lambda it: submitting.submit(it, [item]))
        again = asyncio.create_task(lifecycle.submit(wanted))
        await until_someone_waits(engine)
    assert isinstance(answer, Done)
    assert isinstance(answer.result, Media)
    assert await again == answer.result.id


async def test_a_deadlock_is_not_the_callers(engine: AsyncEngine, database: Database) -> None:
    lock = text("SELECT pg_advisory_xact_lock(:key)")

    def both(connection: Connection, items: Sequence[str]) -> list[str]:
        for key in (2, 1):
            connection.execute(lock, {"key": key})
        return list(items)

    async with engine.begin() as first:
        await first.execute(text("SET LOCAL deadlock_timeout = '30s'"))  # so that the other one is the victim
        await first.execute(lock, {"key": 1})
        writing = asyncio.create_task(database.write(both, "written"))
        await until_someone_waits(engine)
        await first.execute(lock, {"key": 2})
    assert await writing == "written"
