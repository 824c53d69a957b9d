"""The list of media: every filter, page by page, against the same in Python."""

import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, create_engine, delete, event

from darkroom.db import listing, media, tables
from darkroom.db.listing import Filter
from darkroom.db.session import Database, open_database
from darkroom.media.ids import first_id_at
from darkroom.media.states import Status

pytestmark = pytest.mark.anyio

START = datetime(2030, 1, 1, tzinfo=UTC)
OWNERS = [None, None, "ann", "bob"]
MODELS = ["sketch", "flux"]
TAGS = ["sea", "Sea", "été", "%"]
WORDS = ["lighthouse", "Dusk", "ÉTÉ", "straße", "STRASSE", "日本", "100%", "a_b", "axb", "back\\slash", "light", "ω"]


class Shelf:
    """Media at random, in the database and here."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.rows: list[dict[str, Any]] = []

    async def fill(self, n: int, rng: random.Random) -> None:
        self.rows = [_row(rng, at) for at in _times(n, rng)]
        await self.database.transact(lambda connection: media.add(connection, self.rows))

    def expected(self, wanted: Filter) -> list[UUID]:
        """The ids that pass, newest first."""
        return sorted((row["id"] for row in self.rows if _passes(row, wanted)), reverse=True)

    async def walk(self, wanted: Filter, *, limit: int) -> list[UUID]:
        """The ids of the list, page by page."""
        return [it for page in await self.database.read(_pages, wanted, limit) for it in page]


def _pages(connection: Connection, wanted: Filter, limit: int) -> list[list[UUID]]:
    pages: list[list[UUID]] = []
    cursor = None
    while True:
        page = listing.page(connection, wanted, cursor=cursor, limit=limit)
        assert len(page.items) <= limit
        pages.append([it.id for it in page.items])
        if page.next_cursor is None:
            return pages
        assert cursor is None or page.next_cursor < cursor
        cursor = page.next_cursor


def _times(n: int, rng: random.Random) -> list[datetime]:
    return [START + timedelta(milliseconds=rng.randrange(1000 * 3600)) for _ in range(n)]


def _row(rng: random.Random, at: datetime) -> dict[str, Any]:
    return {
        "id": UUID(int=first_id_at(at).int | rng.getrandbits(62)), "job_id": UUID(int=rng.getrandbits(128)),
        "status": rng.choice(list(Status)), "owner": rng.choice(OWNERS), "model": rng.choice(MODELS),
        "prompt": " ".join(rng.choices(WORDS, k=rng.randint(1, 4))), "parameters": {}, "priority": 0,
        "number_of_tries": 0, "max_tries": 3, "tags": rng.sample(TAGS, rng.randint(0, 2)), "metadata": {},
        "created_at": at + timedelta(milliseconds=rng.randint(-900, 900)), "updated_at": at,
    }  # fmt: skip


def _passes(row: dict[str, Any], wanted: Filter) -> bool:
    words = row["prompt"].casefold().split()
    return (
        row["owner"] == wanted.owner
        and wanted.status in {None, row["status"]}
        and wanted.model in {None, row["model"]}
        and (wanted.tag is None or wanted.tag in row["tags"])
        and all(word in words for word in (wanted.q or "").casefold().split())
        and (wanted.created_after is None or row["created_at"] >= wanted.created_after)
        and (wanted.created_before is None or row["created_at"] < wanted.created_before)
    )


@pytest.fixture
async def shelf(database_url: str) -> AsyncIterator[Shelf]:
    async with open_database(database_url).running() as database:
        yield Shelf(database)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "WINDOW", 13)
    monkeypatch.setattr(listing, "STEPS", 2)


FROM, LATE, TO = (START + timedelta(minutes=n) for n in (7, 20, 40))
TIMES = [(None, None), (LATE, None), (FROM, TO)]
FILTERS = [
    Filter(owner, status, model, tag, q, after, before)
    for owner, status, model, tag, q, (after, before) in product(
        [None, "ann"], [None, Status.COMPLETED], [None, "flux"], [None, "sea"], [None, "strasse", "dusk LIGHT"], TIMES
    )
]


@pytest.mark.usefixtures("small_steps")
async def test_each_filter_and_every_combination_finds_what_python_finds(shelf: Shelf) -> None:
    await shelf.fill(250, random.Random(11))
    found_some = 0
    for n, wanted in enumerate(FILTERS):
        expected = shelf.expected(wanted)
        assert await shelf.walk(wanted, limit=1 + n % 9) == expected, wanted
        found_some += bool(expected)
    assert found_some > len(FILTERS) / 2


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("limit", [1, 12, 13, 14, 26, 27, 500])
async def test_pages_of_any_size_miss_nothing_and_repeat_nothing(shelf: Shelf, limit: int) -> None:
    await shelf.fill(60, random.Random(limit))
    for wanted in (Filter(), Filter(q="light"), Filter(tag="sea", model="flux"), Filter(status=Status.ERROR)):
        assert await shelf.walk(wanted, limit=limit) == shelf.expected(wanted)


@pytest.mark.parametrize("owner", ["ann", "nobody", None])
async def test_an_owner_sees_only_their_own(shelf: Shelf, owner: str | None) -> None:
    await shelf.fill(50, random.Random(5))
    assert await shelf.walk(Filter(owner=owner), limit=7) == shelf.expected(Filter(owner=owner))


async def test_only_so_many_rows_are_looked_at_for_a_page(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "WINDOW", 10)
    monkeypatch.setattr(listing, "STEPS", 3)
    await shelf.fill(200, random.Random(3))
    mine = shelf.expected(Filter())
    page = await shelf.database.read(listing.page, Filter(q="nowhere"), cursor=None, limit=5)
    assert page.items == ()
    assert page.next_cursor == mine[29]


@pytest.mark.usefixtures("small_steps")
async def test_media_that_leave_the_list_meanwhile_hide_no_others(shelf: Shelf) -> None:
    await shelf.fill(120, random.Random(8))
    newest = shelf.expected(Filter())[:5]

    def look(connection: Connection) -> list[list[UUID]]:
        return _pages(_Meddled(connection, newest), Filter(q="light"), 50)  # type: ignore[arg-type]

    pages = await shelf.database.read(look)
    found = {it for page in pages for it in page}
    assert found >= set(shelf.expected(Filter(q="light"))) - set(newest)


class _Meddled:
    """A connection that deletes media between its first statement and its second."""

    def __init__(self, connection: Connection, doomed: Sequence[UUID]) -> None:
        self._connection = connection
        self._doomed = doomed
        self._statements = 0

    def execute(self, *arguments: Any) -> Any:
        self._statements += 1
        if self._statements == 2:
            self._connection.execute(delete(tables.media).where(tables.media.c.id.in_(self._doomed)))
        return self._connection.execute(*arguments)


@pytest.mark.parametrize(
    ("q", "prompt", "found"),
    [
        ("lighthouse", "A LIGHTHOUSE at dusk", True),
        ("DUSK lighthouse", "a lighthouse at dusk", True),
        ("light", "a lighthouse at dusk", False),  # whole words
        ("été", "L'hiver ÉTÉ", True),
        ("STRASSE", "die Straße", True),
        ("straße", "DIE STRASSE", True),
        ("ΩMEGA", "ωmega man", True),
        ("日本", "日本 の 海", True),
        ("100%", "100% wool", True),
        ("100%", "1000 wool", False),
        ("a_b", "axb", False),
        ("a_b", "A_B", True),
        ("back\\slash", "a back\\slash", True),
        ("", "anything", True),
        ("   ", "anything", True),
        ("tab", "with\ttab\nand line", True),
    ],
)
async def test_words_are_found_whole_in_any_case_and_literally(shelf: Shelf, q: str, prompt: str, found: bool) -> None:
    row = {**_row(random.Random(1), START), "prompt": prompt, "owner": None}
    await shelf.database.transact(lambda connection: media.add(connection, [row]))
    assert await shelf.walk(Filter(q=q), limit=5) == [row["id"]] * found


async def test_a_page_carries_the_media_whole(shelf: Shelf) -> None:
    row = {**_row(random.Random(1), START), "owner": None, "tags": ["été", "%"], "metadata": {"order": "7"}}
    await shelf.database.transact(lambda connection: media.add(connection, [row]))
    (found,) = (await shelf.database.read(listing.page, Filter(tag="%"), cursor=None, limit=5)).items
    assert (found.id, found.prompt, found.tags, found.metadata) == (
        row["id"], row["prompt"], ("été", "%"), {"order": "7"},
    )  # fmt: skip
    assert await shelf.walk(Filter(tag="ÉTÉ"), limit=5) == []


def test_an_idempotency_key_is_found_by_its_index(sqlite_url: str) -> None:
    """A scan would hold SQLite's only writer for as long as the table is large."""
    plans: list[str] = []
    engine = create_engine(sqlite_url)

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith("SELECT media.owner"):
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.extend(row[3] for row in cursor.fetchall())

    event.listen(engine, "before_cursor_execute", explain)
    with engine.connect() as connection:
        media.find_keys(connection, [(None, "a"), ("someone", "b")])
    engine.dispose()

    assert len(plans) == 2
    assert all("USING INDEX uq_media_idempotency" in plan for plan in plans), plans
