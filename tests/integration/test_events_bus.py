"""What every event bus does, and what the one on PostgreSQL does between processes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest

from darkroom.db.session import connect_apart
from darkroom.events import postgres
from darkroom.events.base import EventBus
from darkroom.events.memory import MemoryBus
from darkroom.events.postgres import PostgresBus
from darkroom.media import events
from darkroom.media.events import News
from darkroom.media.model import Failure
from services.engines import until
from services.proxy import Proxy

pytestmark = pytest.mark.anyio
JOB = uuid4()


def at() -> datetime:
    return datetime.now(UTC)


def completed(media_id: UUID) -> events.Completed:
    return events.Completed(media_id, JOB, at(), 1)


def previewed(media_id: UUID, size: int) -> events.Previewed:
    return events.Previewed(media_id, JOB, at(), "x" * size)


EVERY_KIND: list[News] = [
    events.Submitted(JOB, JOB, at(), "sketch"),
    events.Claimed(JOB, JOB, at(), "höst", 2),
    events.Progressed(JOB, JOB, at(), 3, 28),
    events.Previewed(JOB, JOB, at(), "data:image/webp;base64,AAAA"),
    events.Queued(JOB, JOB, at(), at()),
    events.CancelRequested(JOB, JOB, at()),
    events.Cancelled(JOB, JOB, at()),
    events.GaveUp(JOB, JOB, at(), 3),
    events.Completed(JOB, JOB, at(), 1),
    events.Deleted(JOB, JOB, at()),
]


SOME_ID = "01990000-0000-7000-8000-000000000000"
UNKNOWN = (
    "newer",
    "newer nonsense",
    'newer {"a": 1}',
    'newer [1, [], ["Cancelled"], ["Cancelled", {"media_id": "no id"}], ["Cancelled", {"media_id": 5}]]',
    f'newer [["Promoted", {{"media_id": "{SOME_ID}"}}]]',
    f'newer [["Queued", {{"media_id": "{SOME_ID}", "run_at": "soon"}}]]',
)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[PostgresBus]:
    """A bus as another process has it."""
    async with PostgresBus(partial(connect_apart, url)).running() as bus:
        yield bus


@asynccontextmanager
async def two_processes(url: str, other_url: str | None = None) -> AsyncIterator[tuple[PostgresBus, PostgresBus]]:
    """Two buses on one database that hear one another."""
    async with connected(url) as here, connected(other_url or url) as there:
        await hear_each_other(here, there)
        yield here, there


async def hear_each_other(here: EventBus, there: EventBus) -> None:
    for speaker, hearer in ((here, there), (there, here)):
        await reach(speaker, hearer)


async def reach(speaker: EventBus, hearer: EventBus) -> None:
    """Return once `hearer` hears `speaker`."""
    media_id, heard = uuid4(), list[News]()

    async def is_heard() -> bool:
        speaker.publish(completed(media_id))
        await asyncio.sleep(0.02)
        return bool(heard)

    with hearer.listening(media_id, heard.append):
        await until(is_heard)


@pytest.fixture(params=["memory", "postgresql"])
def bus_url(request: pytest.FixtureRequest) -> str | None:
    """The database that the bus is on; None: on none."""
    return None if request.param == "memory" else request.getfixturevalue("postgres_url")


@pytest.fixture
async def bus(bus_url: str | None) -> AsyncIterator[EventBus]:
    """Each kind of bus."""
    if bus_url is None:
        yield MemoryBus()
        return
    async with connected(bus_url) as opened:
        yield opened


async def test_a_listener_hears_of_its_media_and_of_no_other(bus: EventBus) -> None:
    mine, other, heard = uuid4(), uuid4(), list[News]()
    with bus.listening(mine, heard.append):
        bus.publish(completed(other))
        bus.publish(told := completed(mine))
    assert heard == [told]


async def test_one_who_listens_to_all_hears_all_in_order(bus: EventBus) -> None:
    heard = list[News]()
    told = [completed(uuid4()) for _ in range(5)]
    with bus.listening(None, heard.append):
        for event in told:
            bus.publish(event)
    assert heard == told


async def test_every_listener_hears_until_it_stops(bus: EventBus) -> None:
    media_id, first, second = uuid4(), list[News](), list[News]()
    with bus.listening(media_id, first.append):
        with bus.listening(media_id, second.append):
            bus.publish(completed(media_id))
        bus.publish(completed(media_id))
    bus.publish(completed(media_id))
    assert (len(first), len(second)) == (2, 1)


async def test_an_event_is_heard_once_where_it_was_published(postgres_url: str) -> None:
    async with two_processes(postgres_url) as (here, there):
        heard, arrived = list[News](), list[News]()
        with here.listening(None, heard.append), there.listening(None, arrived.append):
            here.publish(told := completed(uuid4()))

            async def has_arrived() -> bool:
                return told in arrived

            await until(has_arrived)
            await reach(there, here)  # what the server sends, it sends in order
    assert heard.count(told) == 1


async def test_another_process_hears_every_kind_as_it_was_told(postgres_url: str) -> None:
    async with two_processes(postgres_url) as (here, there):
        heard = list[News]()

        async def all_heard() -> bool:
            return len(heard) == len(EVERY_KIND)

        with there.listening(JOB, heard.append):
            for event in EVERY_KIND:
                here.publish(event)
            await until(all_heard)
    assert heard == EVERY_KIND


async def test_what_nobody_elsewhere_acts_on_stays_here(postgres_url: str) -> None:
    failure = Failure("broken", "it broke", retryable=True, traceback="secret" * 2000)
    async with two_processes(postgres_url) as (here, there):
        heard = list[News]()
        with there.listening(JOB, heard.append):
            here.publish(events.Failed(JOB, JOB, at(), failure))
            await reach(here, there)
    assert heard == []


async def test_a_thousand_events_arrive_in_order(postgres_url: str) -> None:
    async with two_processes(postgres_url) as (here, there):
        told, heard = [completed(uuid4()) for _ in range(1000)], list[News]()

        async def all_heard() -> bool:
            return len(heard) == len(told)

        with there.listening(None, heard.append):
            for event in told:
                here.publish(event)
            await until(all_heard)
    assert heard == told


async def test_an_event_that_is_too_large_is_left_out_and_the_others_arrive(postgres_url: str) -> None:
    async with two_processes(postgres_url) as (here, there):
        heard = list[News]()
        with there.listening(JOB, heard.append):
            here.publish(fits := previewed(JOB, 7500))
            here.publish(previewed(JOB, 9000))
            here.publish(last := completed(JOB))
            await reach(here, there)
    assert heard == [fits, last]


async def test_databases_do_not_hear_each_other(postgres_url: str, empty_postgres_url: str) -> None:
    async with two_processes(postgres_url) as (here, there), connected(empty_postgres_url) as elsewhere:
        heard = list[News]()
        with elsewhere.listening(None, heard.append):
            await reach(elsewhere, elsewhere)
            heard.clear()
            await reach(here, there)
    assert heard == []


async def test_what_another_version_says_and_this_one_does_not_know_is_passed_over(postgres_url: str) -> None:
    heard = list[News]()
    async with two_processes(postgres_url) as (here, there):
        with there.listening(None, heard.append):
            for payload in UNKNOWN:
                await notify(postgres_url, payload)
            here.publish(known := events.Cancelled(JOB, JOB, at()))
            await reach(here, there)
    assert [event for event in heard if not isinstance(event, events.Completed)] == [known]


async def test_a_field_of_a_newer_version_is_left_out(postgres_url: str) -> None:
    heard, media_id = list[News](), uuid4()
    fields = f'{{"media_id":"{media_id}","job_id":"{JOB}","at":"2030-01-02T03:04:05Z","files":2,"stars":5}}'
    async with two_processes(postgres_url) as (here, there):
        with there.listening(media_id, heard.append):
            await notify(postgres_url, f'newer [["Completed",{fields}]]')
            await reach(here, there)
    assert heard == [events.Completed(media_id, JOB, datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), 2)]


async def notify(url: str, payload: str) -> None:
    connection = await connect_apart(url)
    await connection.execute("SELECT pg_notify($1, $2)", postgres.CHANNEL, payload)
    await connection.close()


@asynccontextmanager
async def through_a_proxy(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    parts = urlsplit(url)
    with Proxy((parts.hostname or "", parts.port or 5432)) as proxy:
        user = parts.netloc.rpartition("@")[0]
        yield proxy, parts._replace(netloc=f"{user}@127.0.0.1:{proxy.port}").geturl()


async def test_a_connection_that_was_cut_is_made_again(postgres_url: str) -> None:
    async with through_a_proxy(postgres_url) as (proxy, url), two_processes(postgres_url, url) as (here, there):
        await asyncio.to_thread(proxy.cut)
        heard = list[News]()
        with there.listening(JOB, heard.append):
            there.publish(alone := completed(JOB))
        assert heard == [alone]
        await asyncio.to_thread(proxy.heal)
        await hear_each_other(here, there)


async def test_a_connection_that_died_in_silence_is_noticed(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "PING", 0.1)
    monkeypatch.setattr(postgres, "PATIENCE", 0.3)
    async with through_a_proxy(postgres_url) as (proxy, url), two_processes(postgres_url, url) as (here, there):
        await asyncio.to_thread(proxy.stall)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(proxy.heal)
        await hear_each_other(here, there)


async def test_a_bus_without_a_server_tells_those_who_are_here_and_ends_promptly() -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    heard = list[News]()
    async with asyncio.timeout(10), connected(nowhere) as bus:
        with bus.listening(JOB, heard.append):
            bus.publish(told := completed(JOB))
    assert heard == [told]


async def test_what_was_published_last_is_sent_before_the_process_ends(postgres_url: str) -> None:
    heard = list[News]()

    async def is_heard() -> bool:
        return bool(heard)

    async with connected(postgres_url) as there:
        with there.listening(JOB, heard.append):
            async with connected(postgres_url) as here:
                await hear_each_other(here, there)
                here.publish(completed(JOB))
            await until(is_heard)
