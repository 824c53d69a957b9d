"""The second look of those who watch all media: what it finds when the database fails on the way, or they leave."""

from collections.abc import Callable
from typing import Any

import pytest

from darkroom.db import logs
from darkroom.engine.core import Engine
from darkroom.engine.watching.unheard import Unheard
from darkroom.errors import DatabaseUnavailable
from darkroom.settings import Settings
from darkroom.wiring import open_engine
from services.engines import submit

pytestmark = pytest.mark.anyio
PAGE = 2


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_AFTER", logs._AFTER.limit(PAGE))


def before_page(number: int, engine: Engine, monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Do something when page `number` of a look is about to be read."""
    read, pages = engine.database.read, list[object]()

    async def watched(query: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if query is logs.after:
            pages.append(query)
            if len(pages) == number:
                do()
        return await read(query, *args, **kwargs)

    monkeypatch.setattr(engine.database, "read", watched)


async def test_a_look_that_fails_half_way_forgets_nothing(
    sqlite_url: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise DatabaseUnavailable("away for a moment")

    async with open_engine(Settings(data_dir=tmp_path, database_url=sqlite_url)) as engine:
        unheard = Unheard(engine.database)
        await unheard.begin()
        submitted = [await submit(engine) for _ in range(2 * PAGE)]
        before_page(2, engine, monkeypatch, fail)
        with pytest.raises(DatabaseUnavailable):
            await unheard.look()
        assert await unheard.look() == submitted


async def test_who_comes_after_all_have_left_is_told_nothing_older(
    sqlite_url: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_engine(Settings(data_dir=tmp_path, database_url=sqlite_url)) as engine:
        unheard = Unheard(engine.database)
        await unheard.begin()
        await submit(engine)
        before_page(1, engine, monkeypatch, unheard.stop)  # they leave while a look is under way
        await unheard.look()
        await submit(engine)
        await unheard.begin()
        assert await unheard.look() == []
