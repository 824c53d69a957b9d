"""The table of deliveries under couriers that race, stop, and look among many."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from sqlalchemy import Connection, event, insert, select, text

from darkroom.db import deliveries, tables
from darkroom.db.session import Database, open_database
from darkroom.delivery.secrets import Secrets
from darkroom.engine.transitions import submitting
from darkroom.media.ids import new_id
from darkroom.media.model import Attempt, Delivery, Submission
from darkroom.media.states import DeliveryState

pytestmark = pytest.mark.anyio

R = TypeVar("R")
LEASE = timedelta(seconds=60)
HOST = "hooks.example.com"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url).running() as opened:
        yield opened


async def a_media(database: Database) -> UUID:
    answer: Any = await database.write(
        submitting.submit, submitting.Submit(Submission("p", "m", "default", {}, max_tries=3), database.now())
    )
    media_id: UUID = answer.id if hasattr(answer, "id") else answer.result.id
    return media_id


async def noted(database: Database, media_id: UUID, *events: str, host: str = HOST) -> None:
    def note(connection: Connection) -> None:
        now = database.now()
        rows = [
            {"id": new_id(now), "media_id": media_id, "owner": "", "event": name, "url": f"https://{host}/",
             "host": host, "created_at": now}
            for name in events
        ]  # fmt: skip
        deliveries.add(connection, rows)

    await database.transact(note)


async def claimed(database: Database, most: int = 10, host: str = HOST) -> list[Delivery]:
    now = database.now()
    return await database.transact(lambda c: deliveries.claim(c, {host: most}, now=now, until=now + LEASE))


async def ended(database: Database, held: Delivery, state: DeliveryState = DeliveryState.DELIVERED) -> bool:
    now = database.now()
    return await database.transact(lambda c: deliveries.end(c, held, state, [Attempt(now, 0.1, 204)], now))


async def all_of(database: Database) -> list[Delivery]:
    return list(
        reversed(await database.read(deliveries.page, "", media_id=None, state=None, before=None, limit=1000))
    )  # fmt: skip


async def test_only_the_first_of_a_media_is_taken_and_the_next_is_due_when_it_has_ended(database: Database) -> None:
    media_id = await a_media(database)
    await noted(database, media_id, "started", "output", "completed")
    (first,) = await claimed(database)
    assert first.event == "started"
    assert await claimed(database) == []
    assert await ended(database, first)
    assert [one.event for one in await claimed(database)] == ["output"]


async def test_what_is_noted_while_one_is_being_told_waits_for_no_lease(database: Database) -> None:
    media_id = await a_media(database)
    await noted(database, media_id, "started")
    (first,) = await claimed(database)
    await noted(database, media_id, "completed")
    assert (await all_of(database))[1].due_at <= database.now()
    await ended(database, first)
    assert [one.event for one in await claimed(database)] == ["completed"]


async def test_what_is_noted_behind_one_that_is_put_off_is_put_off_with_it(database: Database) -> None:
    media_id = await a_media(database)
    await noted(database, media_id, "started", "output")
    (first,) = await claimed(database)
    until = database.now() + timedelta(hours=1)
    assert await database.transact(lambda c: deliveries.put_off(c, first, [], tries=1, until=until))
    await noted(database, media_id, "completed")
    assert [one.due_at for one in await all_of(database)] == [until] * 3


async def test_one_who_lost_what_it_held_changes_nothing(database: Database) -> None:
    media_id = await a_media(database)
    await noted(database, media_id, "completed")
    (lost,) = await claimed(database)
    again = await database.transact(lambda c: deliveries.send_again(c, lost.id, database.now()))
    assert again is not None
    (held,) = await claimed(database)
    assert not await ended(database, lost)
    assert not await database.transact(lambda c: deliveries.put_off(c, lost, [], tries=1, until=database.now()))
    await database.transact(lambda c: deliveries.give_back(c, [lost]))
    assert await claimed(database) == []
    assert await ended(database, held)


async def test_one_that_is_asked_for_again_has_those_before_it_told_first(database: Database) -> None:
    media_id = await a_media(database)
    await noted(database, media_id, "started", "output", "completed")
    (first,) = await claimed(database)
    until = database.now() + timedelta(hours=8)
    assert await database.transact(lambda c: deliveries.put_off(c, first, [], tries=1, until=until))
    second, third = (await all_of(database))[1:]
    await database.transact(lambda c: deliveries.send_again(c, second.id, database.now()))
    (again,) = await claimed(database)
    assert (again.id, again.tries) == (first.id, 1)
    assert await ended(database, again)
    assert [one.id for one in await claimed(database)] == [second.id]
    assert (await all_of(database))[2].due_at == third.due_at


async def test_what_is_given_back_is_taken_by_the_next_at_once_and_counts_no_try(database: Database) -> None:
    await noted(database, await a_media(database), "completed")
    held = await claimed(database)
    await database.transact(lambda c: deliveries.give_back(c, held))
    (again,) = await claimed(database)
    assert (again.tries, again.claims) == (0, 2)


async def test_couriers_at_once_never_take_the_same(database_url: str, database: Database) -> None:
    for _ in range(30):
        await noted(database, await a_media(database), "started", "completed")
    async with open_database(database_url).running() as other:
        taken: list[UUID] = []

        async def work(mine: Database) -> None:
            while found := await claimed(mine, most=3):
                taken.extend(one.id for one in found)
                for one in found:
                    assert await ended(mine, one)

        await asyncio.gather(*(work(mine) for mine in (database, other) for _ in range(3)))
        while rest := await claimed(database):
            taken += [one.id for one in rest]
            for one in rest:
                await ended(database, one)
    assert len(taken) == len(set(taken)) == 60


async def test_a_410_ends_all_of_its_media_and_nothing_of_others(database: Database) -> None:
    first, second = await a_media(database), await a_media(database)
    await noted(database, first, "started", "completed")
    await noted(database, second, "completed")
    held = {one.media_id: one for one in await claimed(database)}
    await ended(database, held[first], DeliveryState.GONE)
    states = {(one.media_id == first, one.state) for one in await all_of(database)}
    assert states == {(True, DeliveryState.GONE), (False, DeliveryState.PENDING)}


async def test_what_was_being_noted_when_the_target_answered_410_is_not_told(database: Database) -> None:
    media_id = await a_media(database)
    await noted(database, media_id, "started")
    (first,) = await claimed(database)
    await ended(database, first, DeliveryState.GONE)
    await noted(database, media_id, "completed")
    assert await claimed(database) == []
    assert [one.state for one in await all_of(database)] == [DeliveryState.GONE] * 2
    again = await database.transact(lambda c: deliveries.send_again(c, first.id, database.now()))
    assert again is not None
    assert [one.id for one in await claimed(database)] == [first.id]


async def test_hosts_are_looked_at_in_turn(database: Database) -> None:
    media_id = await a_media(database)
    hosts = [f"h{number:03}.example.com" for number in range(deliveries.HOSTS + 6)]
    for host in hosts:
        await noted(database, await a_media(database), "completed", host=host)
    await noted(database, media_id, "completed", host="z.example.com")
    first = await database.read(deliveries.look, database.now(), after="")
    assert list(first.due)[: deliveries.HOSTS] == hosts[: deliveries.HOSTS]
    second = await database.read(deliveries.look, database.now(), after=first.last)
    assert list(second.due)[:7] == [*hosts[deliveries.HOSTS :], "z.example.com"]
    assert second.last == ""
    assert (await database.read(deliveries.look, database.now() - timedelta(hours=1), after="")).due == []


async def waiting(database: Database, hosts: Sequence[str], *, due_in: timedelta = timedelta(hours=8)) -> None:
    """Note one delivery to each of `hosts`, due then."""
    now = database.now()
    row = {"media_id": await a_media(database), "owner": "", "event": "completed", "url": "https://a/",
           "state": "pending", "tries": 0, "claims": 0, "attempts": [], "created_at": now}  # fmt: skip
    rows = [{**row, "id": new_id(now), "host": host, "due_at": now + due_in} for host in hosts]
    await database.transact(lambda c: c.execute(insert(tables.deliveries), rows))


MANY = [f"h{number:05}.example.com" for number in range(5000)]


async def test_hosts_that_wait_cost_the_others_no_look(database: Database) -> None:
    await waiting(database, MANY)
    assert await database.read(deliveries.look, database.now(), after="") == deliveries.Hosts([], "")
    await noted(database, await a_media(database), "completed", host="z.example.com")
    found = await database.read(deliveries.look, database.now(), after="")
    assert (list(found.due), found.last) == (["z.example.com"], "")


async def test_what_became_due_last_is_found_at_once_however_much_is_due(database: Database) -> None:
    await waiting(database, MANY)
    for host in ["a.example.com"] * deliveries.LATEST + ["z.example.com"]:
        await noted(database, await a_media(database), "completed", host=host)
    found = await database.read(deliveries.look, database.now(), after="")
    assert list(found.due) == ["a.example.com", "z.example.com"]
    assert found.last, "and the look at all hosts goes on"


async def test_what_is_in_hand_and_what_waits_for_that_is_not_due(database: Database) -> None:
    """Else hosts of which nothing can be taken would be promised places that others need."""
    await noted(database, await a_media(database), "started", "completed", host="a.example.com")
    now = database.now()
    until = now + timedelta(seconds=60)
    held = await database.transact(lambda c: deliveries.claim(c, {"a.example.com": 2}, now=now, until=until))
    assert len(held) == 1
    for hosts in (1, deliveries.LATEST):
        for _ in range(hosts):
            await noted(database, await a_media(database), "completed", host="b.example.com")
        assert list((await database.read(deliveries.look, database.now(), after="")).due) == ["b.example.com"]


async def test_hosts_that_have_been_due_longest_come_first(database: Database) -> None:
    for host in ("z.example.com", *["a.example.com"] * deliveries.LATEST):
        await noted(database, await a_media(database), "completed", host=host)
    found = await database.read(deliveries.look, database.now(), after="")
    assert list(found.due) == ["z.example.com", "a.example.com"]


async def test_a_look_does_not_go_through_what_waits(database: Database) -> None:
    """However much waits for a host: neither finding hosts nor taking from one looks through it."""
    now = database.now()
    await waiting(database, ["a.example.com"] * 5000)
    for _ in range(deliveries.LATEST):
        await noted(database, await a_media(database), "completed", host="b.example.com")
    if database.dialect == "postgresql":
        await database.transact(lambda c: c.execute(text("ANALYZE deliveries")))

    def plans(connection: Connection) -> list[str]:
        asked: list[tuple[Any, Any]] = []
        prefix = "EXPLAIN QUERY PLAN " if database.dialect == "sqlite" else "EXPLAIN "
        with _heard(connection, asked):
            assert deliveries.look(connection, database.now(), after="").due == ["b.example.com"]
            deliveries.claim(connection, {"a.example.com": 4}, now=now, until=now)
        return [str(connection.exec_driver_sql(prefix + sql, values).all()) for sql, values in asked]

    for plan in await database.transact(plans):
        assert "Seq Scan on deliveries" not in plan
        assert "SCAN deliveries" not in plan
        assert "ix_deliveries_due" in plan or "ix_deliveries_latest" in plan


class _heard:  # noqa: N801 - a context manager
    """Keeps the statements of a connection."""

    def __init__(self, connection: Connection, asked: list[tuple[Any, Any]]) -> None:
        self._connection = connection
        self._note: Callable[..., None] = lambda _c, _cursor, sql, values, *_: asked.append((sql, values))

    def __enter__(self) -> None:
        event.listen(self._connection, "before_cursor_execute", self._note)

    def __exit__(self, *_: object) -> None:
        event.remove(self._connection, "before_cursor_execute", self._note)


async def test_the_list_of_a_media_is_found_by_the_media(database: Database) -> None:
    media_id = await a_media(database)
    await noted(database, media_id, "started", "completed")
    await noted(database, await a_media(database), "completed")
    found = await database.read(deliveries.page, "", media_id=media_id, state=None, before=None, limit=10)
    assert [one.event for one in found] == ["completed", "started"]
    assert await database.read(deliveries.page, "else", media_id=media_id, state=None, before=None, limit=10) == []
    assert await database.read(lambda c: c.execute(select(tables.deliveries.c.id)).all())


async def test_each_owner_has_a_secret_of_its_own(database: Database) -> None:
    secrets = Secrets(database)
    (first,), (second,) = await secrets.signing("first"), await secrets.signing("second")
    assert first.secret != second.secret
    current, replaced = await secrets.rotate("first")
    assert replaced.secret == first.secret != current.secret
    assert [one.secret for one in await secrets.signing("second")] == [second.secret]


async def test_a_clock_that_is_set_back_makes_no_secrets(database: Database) -> None:
    secrets = Secrets(database)
    (first,) = await secrets.signing()
    earlier = database.now() - timedelta(minutes=5)
    database.now = lambda: earlier
    current, replaced = await secrets.rotate()
    assert (current.expires_at, replaced.secret) == (None, first.secret)
    for _ in range(3):
        assert await secrets.signing() == [current, replaced]
