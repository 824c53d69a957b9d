"""Writes that share their commit."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, select

from darkroom.db import trash, writer
from darkroom.db.session import Database, open_database
from darkroom.db.tables import trash as table
from darkroom.errors import Conflict, DarkroomError, DatabaseUnavailable

pytestmark = pytest.mark.anyio

AT = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url).running() as opened:
        yield opened


@pytest.fixture
async def sqlite(sqlite_url: str) -> AsyncIterator[Database]:
    """A database with one writer, which runs in a thread: a test can hold it up."""
    async with open_database(sqlite_url).running() as opened:
        yield opened


class Notes:
    """An operation that writes words, refuses some, breaks on others, and knows which came together."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []

    def __call__(self, connection: Connection, items: Sequence[str]) -> list[str | DarkroomError]:
        self.groups.append(list(items))
        trash.add(connection, [item for item in items if item != "refused"], delete_after=AT)
        if "poison" in items:
            raise ValueError("poisoned")
        return [Conflict("no") if item == "refused" else item.upper() for item in items]


@asynccontextmanager
async def held_up(database: Database) -> AsyncIterator[Callable[[], None]]:
    """Keep the only writer busy until the yielded function is called."""
    gate, begun = threading.Event(), threading.Event()

    def wait(connection: Connection, items: Sequence[None]) -> Sequence[None]:
        begun.set()
        assert gate.wait(30)
        return items

    holding = asyncio.ensure_future(database.write(wait, None))
    assert await asyncio.to_thread(begun.wait, 10)
    try:
        yield gate.set
    finally:
        gate.set()
        await holding


async def written(database: Database) -> set[str]:
    return await database.read(lambda connection: set(connection.execute(select(table.c.prefix)).scalars()))


async def all_of(*writes: asyncio.Future[str]) -> list[str | BaseException]:
    return await asyncio.gather(*writes, return_exceptions=True)


async def test_each_caller_gets_the_answer_to_its_own_item(database: Database) -> None:
    notes = Notes()
    words = [f"word-{n}" for n in range(600)]
    assert await asyncio.gather(*(database.write(notes, word) for word in words)) == [it.upper() for it in words]
    assert await written(database) == set(words)
    assert [word for group in notes.groups for word in group] == words or database.dialect == "postgresql"
    assert len(notes.groups) < 20
    assert max(map(len, notes.groups)) <= writer.LARGEST_GROUP


async def test_different_operations_share_a_transaction_and_keep_their_answers(sqlite: Database) -> None:
    one, other = Notes(), Notes()
    async with held_up(sqlite) as go_on:
        writes = [asyncio.ensure_future(sqlite.write(one if n % 2 else other, f"{n}")) for n in range(6)]
        await asyncio.sleep(0)
        go_on()
        assert await asyncio.gather(*writes) == [f"{n}" for n in range(6)]
    assert (one.groups, other.groups) == ([["1", "3", "5"]], [["0", "2", "4"]])


async def test_an_item_that_is_refused_stands_alone(database: Database) -> None:
    notes = Notes()
    a, refused, b = await all_of(*(asyncio.ensure_future(database.write(notes, it)) for it in ("a", "refused", "b")))
    assert (a, b) == ("A", "B")
    assert isinstance(refused, Conflict)
    assert await written(database) == {"a", "b"}


async def test_an_item_that_breaks_the_transaction_does_not_spoil_the_others(database: Database) -> None:
    notes = Notes()
    a, poison, b = await all_of(*(asyncio.ensure_future(database.write(notes, it)) for it in ("a", "poison", "b")))
    assert (a, b) == ("A", "B")
    assert isinstance(poison, ValueError)
    assert await written(database) == {"a", "b"}


async def test_after_a_failure_the_next_write_is_taken(database: Database) -> None:
    notes = Notes()
    with pytest.raises(ValueError, match="poisoned"):
        await database.write(notes, "poison")
    assert await database.write(notes, "a") == "A"
    assert await written(database) == {"a"}


async def test_a_database_that_does_not_answer_is_every_callers_news(database: Database) -> None:
    def unreachable(connection: Connection, items: Sequence[str]) -> Sequence[str]:
        trash.add(connection, items, delete_after=AT)
        raise ConnectionRefusedError("gone")

    answers = await all_of(*(asyncio.ensure_future(database.write(unreachable, f"{n}")) for n in range(5)))
    assert all(isinstance(answer, DatabaseUnavailable) for answer in answers)
    assert await written(database) == set()


async def test_a_write_that_waits_too_long_is_withdrawn_and_never_written(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PATIENCE", 0.1)
    notes = Notes()
    async with held_up(sqlite) as go_on:
        with pytest.raises(DatabaseUnavailable) as raised:
            await sqlite.write(notes, "late")
        go_on()
        await sqlite.write(notes, "after")
    assert raised.value.retry_after
    assert await written(sqlite) == {"after"}
    assert notes.groups == [["after"]]


async def test_a_write_whose_transaction_has_begun_is_waited_for(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PATIENCE", 0.05)
    gate = threading.Event()

    def slow(connection: Connection, items: Sequence[str]) -> Sequence[str]:
        assert gate.wait(30)
        trash.add(connection, items, delete_after=AT)
        return items

    writing = asyncio.ensure_future(sqlite.write(slow, "slow"))
    done, _ = await asyncio.wait([writing], timeout=0.3)
    assert not done
    gate.set()
    assert await writing == "slow"
    assert await written(sqlite) == {"slow"}


async def test_what_a_caller_gave_up_before_its_turn_is_not_written(sqlite: Database) -> None:
    notes = Notes()
    async with held_up(sqlite) as go_on:
        given_up, kept = (asyncio.ensure_future(sqlite.write(notes, it)) for it in ("given-up", "kept"))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.sleep(0)
        go_on()
        assert await kept == "KEPT"
    assert given_up.cancelled()
    assert await written(sqlite) == {"kept"}


async def test_a_caller_that_leaves_during_its_transaction_does_not_disturb_the_others(database: Database) -> None:
    notes = Notes()
    writes = [asyncio.ensure_future(database.write(notes, f"{n}")) for n in range(9)]
    while not notes.groups:
        await asyncio.sleep(0)
    writes[0].cancel()
    answers = await all_of(*writes)
    assert answers[1:] == [f"{n}" for n in range(1, 9)]


async def test_a_lone_write_starts_at_once(sqlite: Database) -> None:
    notes = Notes()
    loop = asyncio.get_running_loop()
    await sqlite.write(notes, "warm")
    took = []
    for n in range(20):
        begun = loop.time()
        await sqlite.write(notes, f"{n}")
        took.append(loop.time() - begun)
    bare = []
    for n in range(20):
        begun = loop.time()
        await sqlite.transact(lambda connection, n=n: notes(connection, [f"bare-{n}"]))
        bare.append(loop.time() - begun)
    assert all(len(group) == 1 for group in notes.groups)
    assert min(took) < min(bare) + 0.005


async def test_at_the_end_what_waits_is_written(sqlite_url: str) -> None:
    notes = Notes()
    async with open_database(sqlite_url).running() as database, held_up(database) as go_on:
        writes = [asyncio.ensure_future(database.write(notes, f"{n}")) for n in range(300)]
        await asyncio.sleep(0)
        raising = asyncio.ensure_future(database.write(notes, "poison"))
        await asyncio.sleep(0)
        go_on()
    answers = await asyncio.gather(*writes)
    assert answers == [f"{n}" for n in range(300)]
    with pytest.raises(ValueError, match="poisoned"):
        await raising
    async with open_database(sqlite_url).running() as database:
        assert await written(database) == {f"{n}" for n in range(300)}


async def test_at_the_end_a_transaction_that_has_begun_is_seen_through(database_url: str) -> None:
    notes = Notes()
    async with open_database(database_url).running() as database:
        writing = asyncio.ensure_future(database.write(notes, "begun"))
        while not notes.groups:
            await asyncio.sleep(0)
    assert writing.done()
    assert await writing == "BEGUN"


async def test_a_writer_that_is_stopped_by_force_leaves_nobody_waiting(postgres_url: str) -> None:
    """The caller hears that it does not know."""

    def slow(connection: Connection, items: Sequence[str]) -> Sequence[str]:
        connection.exec_driver_sql("SELECT pg_sleep(30)")
        return items

    async def serve() -> None:
        async with open_database(postgres_url).running() as database:
            writing.set_result(asyncio.ensure_future(database.write(slow, "slow")))
            await asyncio.sleep(0.2)

    writing: asyncio.Future[asyncio.Future[str]] = asyncio.get_running_loop().create_future()
    serving = asyncio.ensure_future(serve())
    caller = await writing
    done, _ = await asyncio.wait([caller], timeout=0.5)
    assert not done
    serving.cancel()
    with pytest.raises(DatabaseUnavailable):
        await asyncio.wait_for(caller, timeout=5)
    with pytest.raises(asyncio.CancelledError):
        await serving
