"""The migrations make exactly the tables that the code knows, on both databases."""

from pathlib import Path

import pytest

from darkroom.db import schema
from darkroom.db.session import open_database

pytestmark = pytest.mark.anyio


async def test_the_migrations_make_the_tables_of_the_models(database_url: str) -> None:
    async with open_database(database_url).running() as database:
        assert await schema.differences(database) == []
        assert (await schema.state(database)).is_current


async def test_an_empty_sqlite_is_told_from_a_current_one(tmp_path: Path) -> None:
    async with open_database(f"sqlite:///{tmp_path}/new.db").running() as database:
        assert (await schema.state(database)).current is None
        await schema.upgrade(database)
        await schema.upgrade(database)
        assert (await schema.state(database)).is_current


async def test_several_processes_may_migrate_an_empty_postgres_at_once(empty_postgres_url: str) -> None:
    import asyncio

    async def migrate() -> bool:
        async with open_database(empty_postgres_url).running() as database:
            await schema.upgrade(database)
            return (await schema.state(database)).is_current

    assert await asyncio.gather(*(migrate() for _ in range(4))) == [True] * 4
