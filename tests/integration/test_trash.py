"""What nobody needs is cleared from the store, and forgotten only when that is certain."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from darkroom.db import trash
from darkroom.db.session import open_database
from darkroom.engine.janitor import Sweeper
from darkroom.storage.folder import FolderStorage

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Interrupted(FolderStorage):
    """A store in which a late worker keeps a file just after the prefix was cleared, and says so."""

    def __init__(self, root: Path, database: object) -> None:
        super().__init__(root)
        self._database = database
        self.late = True

    async def delete_prefix(self, prefix: str) -> None:
        await super().delete_prefix(prefix)
        if self.late:
            self.late = False
            await self.put(f"{prefix}0.png", b"late", content_type="image/png")
            await self._database.transact(  # type: ignore[attr-defined]
                lambda c: trash.add(c, [prefix], delete_after=NOW + timedelta(seconds=1))
            )


async def test_what_is_stored_while_its_prefix_is_cleared_is_cleared_the_next_time(
    database_url: str, tmp_path: Path
) -> None:
    async with open_database(database_url).running() as database:
        store = Interrupted(tmp_path / "files", database)
        sweeper = Sweeper(database, store)
        await database.transact(lambda c: trash.add(c, ["m/j/"], delete_after=NOW))

        await sweeper.clear(["m/j/"])
        later = NOW + timedelta(seconds=1)
        assert await database.read(trash.due, later, limit=10) == ["m/j/"]
        await sweeper.clear(["m/j/"])

        assert await database.read(trash.due, later, limit=10) == []
        assert [key async for key in store.keys()] == []  # noqa: SIM118
        await store.aclose()
